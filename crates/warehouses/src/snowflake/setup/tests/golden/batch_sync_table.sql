-- the container job `tidegate batch-sync` in Snowpark Container Services
-- Read it, change what you like, run it. Nothing is replaced; it can be run again.
--
-- Fill in first:
--   <the REST API key of the project, from the dashboard of Batch>: the script would keep the blank as the key

USE ROLE "USERADMIN";

-- task and job run as this role; it may do what follows and no more
CREATE ROLE IF NOT EXISTS "TIDEGATE_BATCH_ROLE"
  COMMENT = 'the job tidegate batch-sync runs with it';

-- so that an administrator can make the task as this role, below
GRANT ROLE "TIDEGATE_BATCH_ROLE" TO ROLE "SYSADMIN";

USE ROLE "SYSADMIN";

-- computes, and stops after 60 seconds without work; one that is there already is left as it is
CREATE WAREHOUSE IF NOT EXISTS "TIDEGATE_WH"
  WAREHOUSE_SIZE = XSMALL
  AUTO_SUSPEND = 60
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  STATEMENT_TIMEOUT_IN_SECONDS = 3600
  COMMENT = 'tidegate computes with it';

-- the job's own schema: it makes its tables here and nowhere else
CREATE SCHEMA IF NOT EXISTS "ANALYTICS"."TIDEGATE_BATCH"
  COMMENT = 'the job tidegate batch-sync: outbox, rejects, runs and lease';

-- holds the image of the job
CREATE IMAGE REPOSITORY IF NOT EXISTS ANALYTICS.TIDEGATE_BATCH.IMAGES;

-- the key of Batch's API, as the published job keeps it
CREATE TABLE IF NOT EXISTS "ANALYTICS"."TIDEGATE_BATCH"."BATCH_API_CREDENTIALS" (
  PROJECT_KEY VARCHAR NOT NULL,
  REST_API_KEY VARCHAR NOT NULL
)
  COMMENT = 'keys of Batch, read by the job only';

-- Snowflake keeps what changes, so that a run reads changes only; locks the table for a moment
ALTER TABLE "ANALYTICS"."CRM"."PROFILES" SET CHANGE_TRACKING = TRUE;

-- every change since the last run; the first run gets every row that is there
CREATE STREAM IF NOT EXISTS "ANALYTICS"."TIDEGATE_BATCH"."PROFILES_STREAM"
  ON TABLE "ANALYTICS"."CRM"."PROFILES"
  SHOW_INITIAL_ROWS = TRUE
  COMMENT = 'consumed by the job tidegate batch-sync, and by nobody else';

USE ROLE "ACCOUNTADMIN";

-- one machine, given back after five minutes without a job; it costs while it runs
CREATE COMPUTE POOL IF NOT EXISTS TIDEGATE_POOL
  MIN_NODES = 1
  MAX_NODES = 1
  INSTANCE_FAMILY = CPU_X64_XS
  AUTO_RESUME = TRUE
  INITIALLY_SUSPENDED = TRUE
  AUTO_SUSPEND_SECS = 300
  COMMENT = 'runs the job tidegate batch-sync';

-- a container reaches nothing outside of Snowflake but this
CREATE OR ALTER NETWORK RULE "ANALYTICS"."TIDEGATE_BATCH"."BATCH_API"
  TYPE = HOST_PORT
  MODE = EGRESS
  VALUE_LIST = ('api.batch.com:443')
  COMMENT = 'the API of Batch';

-- puts the rule to use
CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS TIDEGATE_BATCH_API
  ALLOWED_NETWORK_RULES = ("ANALYTICS"."TIDEGATE_BATCH"."BATCH_API")
  ENABLED = TRUE
  COMMENT = 'lets the job tidegate batch-sync call Batch';

-- starts its job there
GRANT USAGE ON COMPUTE POOL TIDEGATE_POOL TO ROLE "TIDEGATE_BATCH_ROLE";

-- calls Batch
GRANT USAGE ON INTEGRATION TIDEGATE_BATCH_API TO ROLE "TIDEGATE_BATCH_ROLE";

-- runs the tasks that it owns
GRANT EXECUTE TASK ON ACCOUNT TO ROLE "TIDEGATE_BATCH_ROLE";

USE ROLE "SECURITYADMIN";

-- runs its statements
GRANT USAGE ON WAREHOUSE "TIDEGATE_WH" TO ROLE "TIDEGATE_BATCH_ROLE";

-- sees the database; this alone opens no table
GRANT USAGE ON DATABASE "ANALYTICS" TO ROLE "TIDEGATE_BATCH_ROLE";

-- sees the schema of what it reads
GRANT USAGE ON SCHEMA "ANALYTICS"."CRM" TO ROLE "TIDEGATE_BATCH_ROLE";

-- its own tables, job and task
GRANT USAGE, CREATE TABLE, CREATE SERVICE, CREATE TASK ON SCHEMA "ANALYTICS"."TIDEGATE_BATCH" TO ROLE "TIDEGATE_BATCH_ROLE";

-- a stream can be read by who may read what is below it
GRANT SELECT ON TABLE "ANALYTICS"."CRM"."PROFILES" TO ROLE "TIDEGATE_BATCH_ROLE";

-- takes the changes into its outbox
GRANT SELECT ON STREAM "ANALYTICS"."TIDEGATE_BATCH"."PROFILES_STREAM" TO ROLE "TIDEGATE_BATCH_ROLE";

-- reads the key of Batch
GRANT SELECT ON TABLE "ANALYTICS"."TIDEGATE_BATCH"."BATCH_API_CREDENTIALS" TO ROLE "TIDEGATE_BATCH_ROLE";

-- starts the image
GRANT READ ON IMAGE REPOSITORY ANALYTICS.TIDEGATE_BATCH.IMAGES TO ROLE "TIDEGATE_BATCH_ROLE";

-- Now, on a machine with Docker: build the image for linux/amd64 and push it. REGISTRY is the part before the first / of what SHOW prints.
--   docker build --platform linux/amd64 -t REGISTRY/analytics/tidegate_batch/images/tidegate:latest .
--   docker login REGISTRY
--   docker push REGISTRY/analytics/tidegate_batch/images/tidegate:latest

USE ROLE "SYSADMIN";

-- the column repository_url begins with REGISTRY
SHOW IMAGE REPOSITORIES IN SCHEMA ANALYTICS.TIDEGATE_BATCH;

-- fill the key in first; a row that is there is left as it is
INSERT INTO "ANALYTICS"."TIDEGATE_BATCH"."BATCH_API_CREDENTIALS" (PROJECT_KEY, REST_API_KEY)
SELECT 'project_1a2b', '<the REST API key of the project, from the dashboard of Batch>'
WHERE NOT EXISTS (SELECT 1 FROM "ANALYTICS"."TIDEGATE_BATCH"."BATCH_API_CREDENTIALS" WHERE PROJECT_KEY = 'project_1a2b');

USE ROLE "TIDEGATE_BATCH_ROLE";

-- fails when the job fails. No WHEN on the stream: what is left in the outbox is delivered by a run without changes too. No NAME: a job's name stays taken for weeks
CREATE TASK IF NOT EXISTS "ANALYTICS"."TIDEGATE_BATCH"."BATCH_SYNC"
  WAREHOUSE = "TIDEGATE_WH"
  SCHEDULE = '5 MINUTES'
  SUSPEND_TASK_AFTER_NUM_FAILURES = 20
  COMMENT = 'sends changes to Batch'
AS
EXECUTE JOB SERVICE
  IN COMPUTE POOL TIDEGATE_POOL
  QUERY_WAREHOUSE = "TIDEGATE_WH"
  EXTERNAL_ACCESS_INTEGRATIONS = (TIDEGATE_BATCH_API)
  FROM SPECIFICATION $$
spec:
  containers:
    - name: batch-sync
      image: "/analytics/tidegate_batch/images/tidegate:latest"
      args:
        - "--project-key=project_1a2b"
        - "--source-stream=ANALYTICS.TIDEGATE_BATCH.PROFILES_STREAM"
        - "--id-column=CUSTOM_ID"
        - "--api-credentials-table=ANALYTICS.TIDEGATE_BATCH.BATCH_API_CREDENTIALS"
      env:
        SNOWFLAKE_WAREHOUSE: TIDEGATE_WH
        SNOWFLAKE_ROLE: TIDEGATE_BATCH_ROLE
$$;

-- tasks are made suspended: this starts it
ALTER TASK "ANALYTICS"."TIDEGATE_BATCH"."BATCH_SYNC" RESUME;

-- the first run, now
EXECUTE TASK "ANALYTICS"."TIDEGATE_BATCH"."BATCH_SYNC";
