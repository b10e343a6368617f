//! `tidegate setup`: what is printed, and what it is filled in from.

use super::bench::Bench;

const KEY: &str = concat!(
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n",
    "KEYOFNOBODYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PUBLIC KEY-----\n",
);

#[test]
fn the_sql_is_printed_without_a_project() {
    let nowhere = tempfile::tempdir().expect("a folder");
    let run =
        |args: &[&str]| super::bench::tidegate().args(args).current_dir(nowhere.path()).output().expect("started");
    let done = run(&["setup", "snowflake", "--database", "analytics", "--schema", "crm"]);
    let text = String::from_utf8(done.stdout).expect("text");
    assert!(done.status.success(), "{text}");
    for line in [
        "USE ROLE \"USERADMIN\";",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA \"ANALYTICS\".\"CRM\" TO ROLE \"TIDEGATE_READER_ROLE\";",
        "-- connections/lake.yaml:",
        "--   openssl rsa -in keys/lake.p8 -pubout -out keys/lake.pub",
    ] {
        assert!(text.lines().any(|told| told == line), "no line {line} in\n{text}");
    }
    let named = run(&["setup", "snowflake", "--connection", "lake"]);
    assert_eq!(named.status.code(), Some(2), "a connection needs a project");
}

#[test]
fn a_connection_and_its_syncs_fill_it_in() {
    let bench = Bench::new();
    bench.write("tidegate.yaml", "version: 1\nname: bench\nserve: { egress_ips: [203.0.113.7] }\n");
    bench.write(
        "connections/lake.yaml",
        "version: 1\ntype: snowflake\naccount: acme-prod\nuser: TIDEGATE\nrole: SYNC\nwarehouse: WH\ndatabase: ANALYTICS\n\
         schema: CRM\nauth: { method: key_pair, private_key: \"${file:keys/lake.p8}\" }\naccess: write\nwork_schema: OURS\n",
    );
    bench.write("keys/lake.pub", KEY);
    bench.write(
        "syncs/companies.yaml",
        "version: 1\nwarehouse: { connection: lake, relation: COMPANIES }\nplatform: { connection: crm, model: company }\n\
         direction: both\nkey: { warehouse: ID, platform: externalId }\nfields:\n  - { warehouse: NAME, platform: name }\n",
    );
    let run =
        bench.run(&["setup", "snowflake", "--connection", "lake", "--public-key", "keys/lake.pub", "--json"]).expect(0);
    let lines = run.json();
    let all: Vec<&str> = lines.iter().filter_map(|line| line["statement"].as_str()).collect();
    let all = all.join(";\n");
    for sql in [
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE \"ANALYTICS\".\"CRM\".\"COMPANIES\" TO ROLE \"SYNC\"",
        "GRANT USAGE, CREATE TABLE ON SCHEMA \"ANALYTICS\".\"OURS\" TO ROLE \"SYNC\"",
        "ALTER USER \"TIDEGATE\" SET RSA_PUBLIC_KEY = 'MIIBIjAN",
        "VALUE_LIST = ('203.0.113.7')",
    ] {
        assert!(all.contains(sql), "no {sql} in\n{all}");
    }
    assert!(
        lines.iter().all(|line| line["statement"].is_null() || line["why"].is_string() && line["role"].is_string())
    );
    assert!(!all.contains("ON FUTURE"), "no more than the syncs need:\n{all}");
    let file = lines.last().expect("lines");
    assert_eq!(file["file"], "connections/lake.yaml");
    assert!(file["text"].as_str().expect("text").contains("account: acme-prod"));
}

#[test]
fn what_is_missing_is_said() {
    let bench = Bench::new();
    bench.run(&["setup", "snowflake"]).expect(2).says(&["no database is named", "--database"]);
    bench.run(&["setup", "snowflake", "--database", "a"]).expect(2).says(&["nothing to read or write", "--schema"]);
    bench.run(&["setup", "snowflake", "--connection", "crm"]).expect(2).says(&["is of type hub"]);
    let oauth = ["setup", "snowflake", "--database", "a", "--schema", "s", "--auth", "oauth", "--email", "a@b.example"];
    bench.run(&oauth).expect(2).says(&["comes back to", "--redirect-uri"]);
    bench.write("k.pub", "-----BEGIN PRIVATE KEY-----\nhunter2\n");
    let private =
        bench.run(&["setup", "snowflake", "--database", "a", "--schema", "s", "--public-key", "k.pub"]).expect(2);
    assert!(private.stderr.contains("private key") && !private.stderr.contains("hunter2"), "{}", private.stderr);
    bench.run(&["setup", "duckdb", "--access", "write"]).expect(2).says(&["comes with a later part", "hint: today:"]);
    bench.run(&["setup", "bigquery", "--project-id", "p"]).expect(2).says(&["--dataset"]);
    bench
        .run(&["setup", "bigquery", "--project-id", "p;q", "--dataset", "d"])
        .expect(2)
        .says(&["no name of a project"]);
}

#[test]
fn a_project_of_bigquery_is_set_up() {
    let bench = Bench::new();
    let words = ["setup", "bigquery", "--project-id", "acme-data", "--dataset", "crm", "--access", "write"];
    let done = bench.run(&words).expect(0);
    for text in
        ["gcloud services enable bigquery", "roles/bigquery.jobUser", "bq mk --dataset", "work_schema: TIDEGATE"]
    {
        assert!(done.stdout.contains(text), "no {text} in\n{}", done.stdout);
    }
}

#[test]
fn the_container_job_is_printed() {
    let bench = Bench::new();
    let line = "setup batch-sync --project-key p1 --database analytics --table crm.profiles --id-column CUSTOM_ID";
    let words: Vec<&str> = line.split(' ').collect();
    let done = bench.run(&words).expect(0);
    for text in [
        "\"--source-stream=ANALYTICS.TIDEGATE_BATCH.PROFILES_STREAM\"",
        "SCHEDULE = '5 MINUTES'",
        "api.batch.com:443",
        "RESUME;",
    ] {
        assert!(done.stdout.contains(text), "no {text} in\n{}", done.stdout);
    }
    let mut view = words.clone();
    view[6..8].copy_from_slice(&["--view", "crm.v"]);
    bench.run(&view).expect(2).says(&["tables below it", "--base"]);
    bench.run(&["setup", "batch-sync", "--project-key", "p1"]).expect(2);
}
