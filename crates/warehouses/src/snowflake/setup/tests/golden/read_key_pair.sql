-- Snowflake for tidegate: a user that reads
-- Read it, change what you like, run it. Nothing is replaced; it can be run again.
--
-- Fill in first:
--   <the public key: the file .pub without its first and last line>: --public-key FILE fills it in

-- First, in the project's folder: make the key pair. The .p8 is secret and stays there; the .pub goes into the SQL.
--   openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc -out keys/lake.p8
--   openssl rsa -in keys/lake.p8 -pubout -out keys/lake.pub

USE ROLE "USERADMIN";

-- the rights are granted to this role, never to a user
CREATE ROLE IF NOT EXISTS "TIDEGATE_READER_ROLE"
  COMMENT = 'tidegate reads with it';

-- a service user: it has no password and cannot sign in to Snowsight
CREATE USER IF NOT EXISTS "TIDEGATE_READER"
  TYPE = SERVICE
  DEFAULT_SECONDARY_ROLES = ()
  DEFAULT_ROLE = "TIDEGATE_READER_ROLE"
  DEFAULT_WAREHOUSE = "TIDEGATE_WH"
  COMMENT = 'logs in for tidegate';

-- tidegate proves with the private half that it is this user (a key in use already? set RSA_PUBLIC_KEY_2 instead)
ALTER USER "TIDEGATE_READER" SET RSA_PUBLIC_KEY = '<the public key: the file .pub without its first and last line>';

-- the user may work in the role
GRANT ROLE "TIDEGATE_READER_ROLE" TO USER "TIDEGATE_READER";

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

-- sees the schema; this alone opens no table
GRANT USAGE ON SCHEMA "ANALYTICS"."FINANCE" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the tables that are there
GRANT SELECT ON ALL TABLES IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the tables to come
GRANT SELECT ON FUTURE TABLES IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the views that are there
GRANT SELECT ON ALL VIEWS IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the views to come
GRANT SELECT ON FUTURE VIEWS IN SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the tables that are there
GRANT SELECT ON ALL TABLES IN SCHEMA "ANALYTICS"."FINANCE" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the tables to come
GRANT SELECT ON FUTURE TABLES IN SCHEMA "ANALYTICS"."FINANCE" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the views that are there
GRANT SELECT ON ALL VIEWS IN SCHEMA "ANALYTICS"."FINANCE" TO ROLE "TIDEGATE_READER_ROLE";

-- reads the views to come
GRANT SELECT ON FUTURE VIEWS IN SCHEMA "ANALYTICS"."FINANCE" TO ROLE "TIDEGATE_READER_ROLE";

-- the `account:` of the connection
SELECT CURRENT_ORGANIZATION_NAME() || '-' || CURRENT_ACCOUNT_NAME() AS "ACCOUNT";

-- what the role may do now
SHOW GRANTS TO ROLE "TIDEGATE_READER_ROLE";

-- connections/lake.yaml:
--   version: 1
--   type: snowflake
--   account: "<organisation>-<account>"   # what the last SELECT prints
--   user: TIDEGATE_READER
--   role: TIDEGATE_READER_ROLE
--   warehouse: TIDEGATE_WH
--   database: ANALYTICS
--   auth:
--     method: key_pair
--     private_key: "${file:keys/lake.p8}"
--     passphrase: secret:lake_key   # tidegate secrets set lake_key; leave out for a key without one
--   access: read
