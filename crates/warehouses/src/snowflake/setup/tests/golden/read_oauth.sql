-- Snowflake for tidegate: a user that reads
-- Read it, change what you like, run it. Nothing is replaced; it can be run again.

USE ROLE "USERADMIN";

-- the rights are granted to this role, never to a user
CREATE ROLE IF NOT EXISTS "TIDEGATE_READER_ROLE"
  COMMENT = 'tidegate reads with it';

-- the person who signs in, without a password of Snowflake's own; somebody who is there already is left as they are
CREATE USER IF NOT EXISTS "ANNA@ACME.EXAMPLE"
  LOGIN_NAME = 'anna@acme.example'
  EMAIL = 'anna@acme.example'
  TYPE = PERSON
  DEFAULT_ROLE = "TIDEGATE_READER_ROLE"
  DEFAULT_WAREHOUSE = "TIDEGATE_WH"
  COMMENT = 'logs in for tidegate';

-- the user may work in the role
GRANT ROLE "TIDEGATE_READER_ROLE" TO USER "ANNA@ACME.EXAMPLE";

USE ROLE "SYSADMIN";

-- computes, and stops after 60 seconds without work; one that is there already is left as it is
CREATE WAREHOUSE IF NOT EXISTS "TIDEGATE_WH"
  WAREHOUSE_SIZE = XSMALL
  AUTO_SUSPEND = 60
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  STATEMENT_TIMEOUT_IN_SECONDS = 3600
  COMMENT = 'tidegate computes with it';

USE ROLE "SECURITYADMIN";

-- computes with this warehouse
GRANT USAGE ON WAREHOUSE "TIDEGATE_WH" TO ROLE "TIDEGATE_READER_ROLE";

-- sees the database; this alone opens no table
GRANT USAGE ON DATABASE "ANALYTICS" TO ROLE "TIDEGATE_READER_ROLE";

-- sees the schema; this alone opens no table
GRANT USAGE ON SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the tables that are there
GRANT SELECT ON ALL TABLES IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the tables to come
GRANT SELECT ON FUTURE TABLES IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the views that are there
GRANT SELECT ON ALL VIEWS IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the views to come
GRANT SELECT ON FUTURE VIEWS IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

USE ROLE "ACCOUNTADMIN";

-- the addresses that tidegate calls from; run it again when they change
CREATE OR ALTER NETWORK RULE "ANALYTICS"."CRM"."TIDEGATE_READER_IPV4"
  TYPE = IPV4
  VALUE_LIST = ('203.0.113.7', '198.51.100.0/28')
  MODE = INGRESS
  COMMENT = 'addresses that tidegate calls from';

-- lets in these addresses and no others, where it is set
CREATE NETWORK POLICY IF NOT EXISTS "TIDEGATE_READER_NETWORK"
  ALLOWED_NETWORK_RULE_LIST = ('"ANALYTICS"."CRM"."TIDEGATE_READER_IPV4"')
  COMMENT = 'lets tidegate in';

-- a person signs in once in a browser; after 90 days (7,776,000 seconds) again
CREATE SECURITY INTEGRATION IF NOT EXISTS "TIDEGATE_OAUTH"
  TYPE = OAUTH
  OAUTH_CLIENT = CUSTOM
  OAUTH_CLIENT_TYPE = 'CONFIDENTIAL'
  OAUTH_REDIRECT_URI = 'http://127.0.0.1:8931/oauth/callback'
  OAUTH_ALLOW_NON_TLS_REDIRECT_URI = TRUE
  ENABLED = TRUE
  OAUTH_ENFORCE_PKCE = TRUE
  OAUTH_ISSUE_REFRESH_TOKENS = TRUE
  OAUTH_REFRESH_TOKEN_VALIDITY = 7776000
  OAUTH_SINGLE_USE_REFRESH_TOKENS_REQUIRED = TRUE
  OAUTH_USE_SECONDARY_ROLES = NONE
  PRE_AUTHORIZED_ROLES_LIST = ('TIDEGATE_READER_ROLE')
  NETWORK_POLICY = 'TIDEGATE_READER_NETWORK'
  COMMENT = 'tidegate signs in with it';

-- client id and client secret, for the connection
SELECT SYSTEM$SHOW_OAUTH_CLIENT_SECRETS('TIDEGATE_OAUTH');

-- Then, in the project's folder: keep the client secret, and let anna@acme.example sign in.
--   tidegate secrets set lake_client
--   tidegate auth lake

USE ROLE "SECURITYADMIN";

-- the `account:` of the connection
SELECT CURRENT_ORGANIZATION_NAME() || '-' || CURRENT_ACCOUNT_NAME() AS "ACCOUNT";

-- what the role may do now
SHOW GRANTS TO ROLE "TIDEGATE_READER_ROLE";

-- connections/lake.yaml:
--   version: 1
--   type: snowflake
--   account: "<organisation>-<account>"   # what the last SELECT prints
--   user: "anna@acme.example"
--   role: TIDEGATE_READER_ROLE
--   warehouse: TIDEGATE_WH
--   database: ANALYTICS
--   schema: CRM
--   auth:
--     method: oauth
--     client_id: "<OAUTH_CLIENT_ID>"
--     client_secret: secret:lake_client   # tidegate secrets set lake_client
--   access: read
