"""Makes an account on the stand-in for Snowflake with two profiles in a stream, for scripts/static_job.

    python3 scripts/static_job_account.py http://127.0.0.1:PORT ACCOUNT
"""

import json
import sys
import urllib.request

STATEMENTS = (
    "CREATE SCHEMA IF NOT EXISTS LAB.JOB",
    "CREATE OR REPLACE TABLE LAB.JOB.PROFILES (CUSTOM_ID VARCHAR, SEEN TIMESTAMP_TZ)",
    "CREATE OR REPLACE STREAM LAB.JOB.PROFILES_STREAM ON TABLE LAB.JOB.PROFILES",
    "CREATE OR REPLACE TABLE LAB.JOB.BATCH_API_CREDENTIALS (PROJECT_KEY VARCHAR, REST_API_KEY VARCHAR)",
    "INSERT INTO LAB.JOB.BATCH_API_CREDENTIALS VALUES ('project_sandbox', 'sandbox-rest-key')",
    "INSERT INTO LAB.JOB.PROFILES SELECT 'A', '2026-01-01 12:00:00 +0200'::TIMESTAMP_TZ UNION ALL SELECT 'B', NULL",
)


def post(path: str, body: dict, token: str = "") -> dict:
    request = urllib.request.Request(
        sys.argv[1] + path,
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f'Snowflake Token="{token}"'},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


login = {"data": {"ACCOUNT_NAME": sys.argv[2], "LOGIN_NAME": "owner", "SESSION_PARAMETERS": {}}}
told = post("/session/v1/login-request?databaseName=LAB&schemaName=PUBLIC&warehouse=WH", login)
for sql in STATEMENTS:
    done = post("/queries/v1/query-request?requestId=owner", {"sqlText": sql}, told["data"]["token"])
    if not done["success"]:
        sys.exit(f"{done['message']}: {sql}")
