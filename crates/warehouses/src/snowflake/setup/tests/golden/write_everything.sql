-- Snowflake for tidegate: a user that reads and writes
-- Read it, change what you like, run it. Nothing is replaced; it can be run again.

-- First, in the project's folder: make the key pair. The .p8 is secret and stays there; the .pub goes into the SQL.
--   openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -out keys/lake.p8
--   openssl rsa -in keys/lake.p8 -pubout -out keys/lake.pub

USE ROLE "USERADMIN";

-- the rights are granted to this role, never to a user
CREATE ROLE IF NOT EXISTS "TIDEGATE_WRITER_ROLE"
  COMMENT = 'tidegate reads and writes with it';

-- a service user: it has no password and cannot sign in to Snowsight
CREATE USER IF NOT EXISTS "TIDEGATE_WRITER"
  TYPE = SERVICE
  DEFAULT_SECONDARY_ROLES = ()
  DEFAULT_ROLE = "TIDEGATE_WRITER_ROLE"
  DEFAULT_WAREHOUSE = "TIDEGATE_WH"
  COMMENT = 'logs in for tidegate';

-- tidegate proves with the private half that it is this user (a key in use already? set RSA_PUBLIC_KEY_2 instead)
ALTER USER "TIDEGATE_WRITER" SET RSA_PUBLIC_KEY = 'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAPUBLICKEYOFNOBODYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQIDAQAB';

-- the user may work in the role
GRANT ROLE "TIDEGATE_WRITER_ROLE" TO USER "TIDEGATE_WRITER";

-- administrators see and can drop the tables that tidegate makes for itself
GRANT ROLE "TIDEGATE_WRITER_ROLE" TO ROLE "SYSADMIN";

USE ROLE "SYSADMIN";

-- computes, and stops after 60 seconds without work; one that is there already is left as it is
CREATE WAREHOUSE IF NOT EXISTS "TIDEGATE_WH"
  WAREHOUSE_SIZE = XSMALL
  AUTO_SUSPEND = 60
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  STATEMENT_TIMEOUT_IN_SECONDS = 3600
  COMMENT = 'tidegate computes with it';

USE ROLE "DATA_TEAM";

-- outbox, fence and staging tables go here, apart from your data
CREATE SCHEMA IF NOT EXISTS "ANALYTICS"."TIDEGATE"
  COMMENT = 'tidegate keeps its own tables here';

-- large loads go through files on this internal stage
CREATE STAGE IF NOT EXISTS "ANALYTICS"."TIDEGATE"."LOADS"
  COMMENT = 'large loads of tidegate pass here';

-- below the view ACTIVE_COMPANIES, whose changes are those of its tables
ALTER TABLE "ANALYTICS"."CRM"."COMPANIES" SET CHANGE_TRACKING = TRUE;

-- below the view ACTIVE_COMPANIES, whose changes are those of its tables
ALTER TABLE "ANALYTICS"."CRM"."CONTRACTS" SET CHANGE_TRACKING = TRUE;

-- after its tables; a view that groups, or takes DISTINCT or LIMIT, cannot be tracked
ALTER VIEW "ANALYTICS"."CRM"."ACTIVE_COMPANIES" SET CHANGE_TRACKING = TRUE;

USE ROLE "SECURITYADMIN";

-- computes with this warehouse
GRANT USAGE ON WAREHOUSE "TIDEGATE_WH" TO ROLE "TIDEGATE_WRITER_ROLE";

-- sees the database; this alone opens no table
GRANT USAGE ON DATABASE "ANALYTICS" TO ROLE "TIDEGATE_WRITER_ROLE";

-- sees the schema; this alone opens no table
GRANT USAGE ON SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_WRITER_ROLE";

-- reads this view; the tables below it stay closed
GRANT SELECT ON VIEW "ANALYTICS"."CRM"."ACTIVE_COMPANIES" TO ROLE "TIDEGATE_WRITER_ROLE";

-- takes the changes of this stream into the outbox; its table or view must be readable too
GRANT SELECT ON STREAM "ANALYTICS"."CRM"."COMPANIES_CHANGES" TO ROLE "TIDEGATE_WRITER_ROLE";

-- makes its own tables, and only here
GRANT USAGE, CREATE TABLE ON SCHEMA "ANALYTICS"."TIDEGATE" TO ROLE "TIDEGATE_WRITER_ROLE";

-- writes this table, and reads it back
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "ANALYTICS"."CRM"."COMPANIES" TO ROLE "TIDEGATE_WRITER_ROLE";

-- writes this table, and reads it back
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "ANALYTICS"."CRM"."CRM_SCORES" TO ROLE "TIDEGATE_WRITER_ROLE";

-- puts files there and loads them
GRANT READ, WRITE ON STAGE "ANALYTICS"."TIDEGATE"."LOADS" TO ROLE "TIDEGATE_WRITER_ROLE";

USE ROLE "ACCOUNTADMIN";

-- the addresses that tidegate calls from; run it again when they change
CREATE OR ALTER NETWORK RULE "ANALYTICS"."TIDEGATE"."TIDEGATE_WRITER_IPV4"
  TYPE = IPV4
  VALUE_LIST = ('203.0.113.7', '198.51.100.0/28')
  MODE = INGRESS
  COMMENT = 'addresses that tidegate calls from';

-- lets in these addresses and no others, where it is set
CREATE NETWORK POLICY IF NOT EXISTS "TIDEGATE_WRITER_NETWORK"
  ALLOWED_NETWORK_RULE_LIST = ('"ANALYTICS"."TIDEGATE"."TIDEGATE_WRITER_IPV4"')
  COMMENT = 'lets tidegate in';

-- holds for this user alone, and goes before the account's own policy
ALTER USER "TIDEGATE_WRITER" SET NETWORK_POLICY = "TIDEGATE_WRITER_NETWORK";

USE ROLE "SECURITYADMIN";

-- the `account:` of the connection
SELECT CURRENT_ORGANIZATION_NAME() || '-' || CURRENT_ACCOUNT_NAME() AS "ACCOUNT";

-- what the role may do now
SHOW GRANTS TO ROLE "TIDEGATE_WRITER_ROLE";

-- connections/lake.yaml:
--   version: 1
--   type: snowflake
--   account: acme-prod
--   user: TIDEGATE_WRITER
--   role: TIDEGATE_WRITER_ROLE
--   warehouse: TIDEGATE_WH
--   database: ANALYTICS
--   schema: CRM
--   stage: ANALYTICS.TIDEGATE.LOADS
--   auth:
--     method: key_pair
--     private_key: "${file:keys/lake.p8}"
--     passphrase: secret:lake_key   # tidegate secrets set lake_key; leave out for a key without one
--   access: write
--   work_schema: TIDEGATE
