//! Checks: every finding says what mends it, and its SQL does.

use tidegate_model::finding::{Finding, Severity};
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::sync::WriteMode;
use tidegate_model::value::Type;

use super::{Lab, names, source, table_sql};

fn wish(name: &str, logical: Type) -> WriteColumn {
    WriteColumn { name: name.into(), logical, nulls: false, max_length: None }
}

fn write_need(lab: &dyn Lab, table: &str, columns: Vec<WriteColumn>) -> Need {
    Need::Write { relation: lab.relation(table), key: Some("id".into()), columns, mode: WriteMode::Upsert }
}

async fn found(lab: &dyn Lab, need: &Need) -> Vec<Finding> {
    lab.open(true).check(std::slice::from_ref(need)).await
}

fn says(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.finding.as_str()).collect()
}

/// One case: the table, what is wanted of it, what the check says.
struct Case {
    finding: &'static str,
    severity: Severity,
    /// Columns of the table; empty: there is none.
    table: String,
    columns: Vec<WriteColumn>,
}

fn cases(lab: &dyn Lab) -> Vec<Case> {
    let key = format!("id {} PRIMARY KEY", lab.native(Type::Text));
    let (text, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    let decimal = |precision, scale| Type::Decimal { precision, scale };
    let case = |finding, severity, table: String, columns: Vec<WriteColumn>| Case { finding, severity, table, columns };
    vec![
        case(
            "missing_relation",
            Severity::Critical,
            String::new(),
            vec![
                wish("id", Type::Text),
                wish("amount", decimal(38, 10)),
                wish("at", Type::TimestampTz),
                WriteColumn { max_length: Some(20), nulls: true, ..wish("name", Type::Text) },
            ],
        ),
        case("missing_column", Severity::Critical, key.clone(), vec![wish(&lab.odd_name("n\"ame"), Type::Text)]),
        case("missing_column", Severity::Critical, format!("other {int}"), vec![]),
        case("wrong_type", Severity::Critical, format!("{key}, day {text}"), vec![wish("day", Type::Date)]),
        case("wrong_type", Severity::Critical, format!("{key}, name {int}"), vec![wish("name", Type::Text)]),
        case(
            "too_short",
            Severity::Warning,
            format!("{key}, name VARCHAR(3)"),
            vec![WriteColumn { max_length: Some(20), ..wish("name", Type::Text) }],
        ),
        case(
            "less_precision",
            Severity::Warning,
            format!("{key}, n {}", lab.native(decimal(10, 2))),
            vec![wish("n", decimal(12, 4))],
        ),
        case(
            "not_null",
            Severity::Warning,
            format!("{key}, name {text} NOT NULL"),
            vec![WriteColumn { nulls: true, ..wish("name", Type::Text) }],
        ),
        case(
            "required_column",
            Severity::Critical,
            format!("{key}, name {text}, must {text} NOT NULL"),
            vec![wish("name", Type::Text)],
        ),
        case("key_not_unique", Severity::Warning, format!("id {text}, name {text}"), vec![wish("name", Type::Text)]),
    ]
}

/// The fix of each finding, run as it is, makes the finding go away.
pub async fn every_finding_is_mended_by_its_fix(lab: &dyn Lab) {
    let enforced = |case: &Case| lab.enforces() || case.finding != "key_not_unique";
    for (at, case) in cases(lab).into_iter().filter(enforced).enumerate() {
        let table = format!("case {at}");
        if !case.table.is_empty() {
            lab.exec(&format!("CREATE TABLE {} ({})", table_sql(lab, &table), case.table)).await;
        }
        let need = write_need(lab, &table, case.columns);
        let findings = found(lab, &need).await;
        let finding = findings.iter().find(|finding| finding.finding == case.finding);
        let finding = finding.unwrap_or_else(|| panic!("no {} among {findings:?}", case.finding));
        assert_eq!(finding.severity, case.severity, "{finding:?}");
        assert!(!finding.why.is_empty());
        lab.exec(&finding.fix).await;
        let after = found(lab, &need).await;
        assert!(
            !says(&after).contains(&case.finding),
            "{} stays after its fix {}: {after:?}",
            case.finding,
            finding.fix
        );
    }
    let view = table_sql(lab, "a view");
    lab.exec(&format!("CREATE VIEW {view} AS SELECT 1 AS id")).await;
    let refused = found(lab, &write_need(lab, "a view", vec![])).await;
    assert_eq!(says(&refused), ["not_a_table"]);
    assert_eq!(refused[0].severity, Severity::Critical);
    let closed = lab.open(false).check(&[write_need(lab, "case 0", vec![])]).await;
    assert_eq!(says(&closed), ["read_only"]);
}

/// Nothing to say, nothing said; and nothing made.
pub async fn a_ready_table_has_no_findings(lab: &dyn Lab) {
    let table = table_sql(lab, "t");
    lab.exec(&format!(
        "CREATE TABLE {table} (id {} PRIMARY KEY, n {})",
        lab.native(Type::Text),
        lab.native(Type::Int64)
    ))
    .await;
    let needs = [
        Need::Connect,
        Need::Read { source: source(lab, "t"), columns: names(&["id", "n"]) },
        write_need(lab, "t", vec![wish("n", Type::Int64)]),
    ];
    let before = lab.open(false).browse(&Default::default()).await.expect("entries");
    assert_eq!(lab.open(true).check(&needs).await, []);
    assert_eq!(lab.open(false).browse(&Default::default()).await.expect("entries"), before);
}

/// One check tells everything.
pub async fn all_findings_come_at_once(lab: &dyn Lab) {
    let (text, int) = (lab.native(Type::Text), lab.native(Type::Int64));
    lab.exec(&format!(
        "CREATE TABLE {} (id {text} PRIMARY KEY, name {int}, must {text} NOT NULL)",
        table_sql(lab, "t")
    ))
    .await;
    let needs = [
        Need::Read { source: source(lab, "t"), columns: names(&["nmae", "id"]) },
        Need::Read { source: source(lab, "tt"), columns: vec![] },
        Need::Read { source: tidegate_model::schema::Source::Query("SELECT nonsense".into()), columns: vec![] },
        write_need(lab, "t", vec![wish("name", Type::Text), wish("missing", Type::Bool)]),
    ];
    let findings = lab.open(true).check(&needs).await;
    let mut said = says(&findings);
    said.retain(|name| !["schema_changed", "bad_request"].contains(name)); // what the query's error is called
    assert_eq!(said, ["missing_column", "missing_relation", "wrong_type", "missing_column", "required_column"]);
    assert_eq!(findings.len(), 6);
    assert!(findings[0].why.contains("nmae") && findings[0].fix.contains("name"), "{:?}", findings[0]);
}
