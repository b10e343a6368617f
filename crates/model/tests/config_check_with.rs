//! The refusals that need to know the two sides: abilities, model, relation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{acme, kinds, project_of};
use tidegate_model::config::{Project, Sides, check_with, load};
use tidegate_model::schema::{
    Abilities, Column, FieldSchema, ModelKind, ModelName, ModelSchema, NormalForm, RelationKind, RelationSchema,
};
use tidegate_model::value::Type;

const COMPANIES: &str = "syncs/companies.yaml";
const USAGE: &str = "syncs/usage.yaml";

const ABLE: Abilities = Abilities {
    read: true,
    ordered: true,
    changes: true,
    fetch: true,
    delete: true,
    clear: true,
    conditional: true,
    keyed: true,
    exactly_once: true,
    update_time: true,
    whole: false,
    max_batch: 10_000,
};

fn model(kind: ModelKind, fields: &[&str]) -> ModelSchema {
    ModelSchema {
        name: ModelName("company".to_owned()),
        kind,
        fields: fields.iter().map(|name| FieldSchema::new(*name, Type::Text)).collect(),
        keys: vec!["externalId".to_owned(), "sourceId".to_owned()],
        custom_fields: true,
        open: false,
        customs: Vec::new(),
    }
}

fn company() -> ModelSchema {
    model(ModelKind::Records, &["externalId", "name", "phase", "website", "updatedAt", "status"])
}

fn field<'m>(model: &'m mut ModelSchema, name: &str) -> &'m mut FieldSchema {
    model.fields.iter_mut().find(|field| field.name == name).expect(name)
}

fn relation(columns: &[(&str, Type)]) -> RelationSchema {
    let column = |(name, logical): &(&str, Type)| Column {
        name: (*name).to_owned(),
        logical: *logical,
        native: format!("{logical}"),
        nullable: true,
        max_length: None,
        filled: false,
    };
    RelationSchema {
        kind: RelationKind::Table,
        columns: columns.iter().map(column).collect(),
        primary_key: Vec::new(),
        change_tracking: false,
        appends: false,
        history_days: None,
        rows_estimate: None,
    }
}

fn companies() -> RelationSchema {
    let names = ["company_id", "name", "arr", "health", "phase", "site", "updated_at"];
    relation(&names.map(|name| (name, Type::Text)))
}

fn project() -> Project {
    load(&acme(), &kinds()).into_result().unwrap()
}

fn said(project: &Project, sync: &str, sides: Sides<'_>) -> Vec<String> {
    let found = check_with(project, sync, &sides);
    found.iter().map(|f| format!("{} {:?} {}", f.finding.finding, f.finding.severity, f.problem())).collect()
}

fn by_model(project: &Project, sync: &str, model: &ModelSchema) -> Vec<String> {
    said(project, sync, Sides { model: Some(model), ..Sides::default() })
}

fn by_relation(project: &Project, sync: &str, relation: &RelationSchema, model: &ModelSchema) -> Vec<String> {
    said(project, sync, Sides { relation: Some(relation), model: Some(model), abilities: Some(&ABLE) })
}

fn by_abilities(project: &Project, sync: &str, abilities: Abilities) -> Vec<String> {
    said(project, sync, Sides { abilities: Some(&abilities), ..Sides::default() })
}

#[track_caller]
fn one(found: &[String], start: &str, within: &str) {
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(start) && found[0].contains(within), "{}\n  wanted {start} … {within}", found[0]);
}

#[test]
fn check_passes_what_fits() {
    let (relation, model) = (companies(), company());
    assert_eq!(by_relation(&project(), "companies", &relation, &model), [""; 0]);
    assert_eq!(said(&project(), "companies", Sides::default()), [""; 0]);
    assert_eq!(by_model(&project(), "no such sync", &model), [""; 0]);
}

fn licenses_of(kind: RelationKind, changes: &str) -> Vec<String> {
    licenses_in(&project_of("syncs/licenses.yaml", "direction:", &format!("changes: {changes}\ndirection:")), kind)
}

fn licenses_in(project: &Project, kind: RelationKind) -> Vec<String> {
    let relation = RelationSchema { kind, ..companies() };
    let found = said(project, "licenses", Sides { relation: Some(&relation), ..Sides::default() });
    found.into_iter().filter(|found| !found.starts_with("missing_column")).collect()
}

#[test]
fn check_refuses_a_stream_that_is_none_and_a_history_of_a_stream() {
    one(&licenses_of(RelationKind::Table, "stream"), "not_a_stream Critical syncs/licenses.yaml:5:1", "no stream");
    one(&licenses_of(RelationKind::Stream, "tracking"), "stream_not_tracked Critical", "is a stream");
    one(&licenses_of(RelationKind::Table, "tracking"), "tracking_is_off Warning", "no change history");
    assert_eq!(licenses_of(RelationKind::Stream, "full"), [""; 0]);
}

#[test]
fn check_refuses_access_read_with_a_relation_that_is_a_stream() {
    assert_eq!(licenses_of(RelationKind::Stream, "auto"), [""; 0]);
    let read = project_of("connections/lake.yaml", "access: write\n", "");
    one(&licenses_in(&read, RelationKind::Stream), "stream_needs_write Critical syncs/licenses.yaml", "access: read");
}

#[test]
fn check_refuses_a_batch_size_over_the_connectors_limit() {
    let found = by_abilities(&project(), "usage", Abilities { max_batch: 1_000, ..ABLE });
    one(&found, "batch_too_large Critical syncs/usage.yaml:10:1", "more than the 1000 records");
    assert_eq!(by_abilities(&project(), "usage", Abilities { max_batch: 5_000, ..ABLE }), [""; 0]);
}

#[test]
fn check_refuses_mirror_on_a_target_without_delete() {
    let project = project_of("syncs/licenses.yaml", "direction:", "write: mirror\ndirection:");
    let found = by_abilities(&project, "licenses", Abilities { delete: false, ..ABLE });
    one(&found, "mirror_without_delete Critical syncs/licenses.yaml:5:1", "cannot be deleted");
    assert_eq!(by_abilities(&project, "licenses", ABLE), [""; 0]);
}

#[test]
fn check_refuses_propagate_on_a_target_without_delete() {
    let project = project_of(COMPANIES, "deletes: ignore", "deletes: propagate");
    let found = by_abilities(&project, "companies", Abilities { delete: false, ..ABLE });
    one(&found, "propagate_without_delete Critical syncs/companies.yaml:11:1", "deletes: ignore");
}

#[test]
fn check_refuses_two_way_with_an_unreadable_platform() {
    let found = by_abilities(&project(), "companies", Abilities { read: false, ..ABLE });
    one(&found, "two_way_unreadable Critical syncs/companies.yaml:5:1", "cannot be read back");
    let found = by_abilities(&project(), "scores", Abilities { read: false, ..ABLE });
    one(&found, "unreadable_platform Critical", "this sync reads it");
    assert_eq!(by_abilities(&project(), "usage", Abilities { read: false, ..ABLE }), [""; 0]);
}

#[test]
fn check_refuses_two_way_with_a_view() {
    let mut view = companies();
    view.kind = RelationKind::View;
    let found = by_relation(&project(), "companies", &view, &company());
    one(&found, "view_as_target Critical syncs/companies.yaml:3:", "a view cannot be written to");
    let mut query = companies();
    query.kind = RelationKind::Query;
    one(&by_relation(&project(), "companies", &query, &company()), "query_as_target Critical", "a query");
}

#[test]
fn check_refuses_unknown_fields_with_the_one_that_was_meant() {
    let project = project_of(COMPANIES, "platform: website", "platform: websit");
    let found = by_model(&project, "companies", &company());
    one(
        &found,
        "unknown_field Critical syncs/companies.yaml:17:",
        "did you mean `website`?; a field of your own is `custom.websit`",
    );
    let project = project_of("syncs/scores.yaml", "field: status", "field: staus");
    one(&by_model(&project, "scores", &company()), "unknown_field Critical syncs/scores.yaml:4:", "`status`");
    let project = project_of(COMPANIES, "platform: updatedAt", "platform: updated");
    one(&by_model(&project, "companies", &company()), "unknown_field Critical syncs/companies.yaml:10:", "updated");
    let mut closed = company();
    closed.custom_fields = false;
    assert_eq!(by_model(&project_of(COMPANIES, "direction: both", "direction: both"), "companies", &closed).len(), 3);
}

#[test]
fn check_refuses_fields_that_the_platform_alone_writes() {
    let mut model = company();
    field(&mut model, "website").read_only = true;
    let found = by_model(&project(), "companies", &model);
    one(&found, "read_only_field Critical syncs/companies.yaml:17:", "direction: to_warehouse");
}

#[test]
fn check_refuses_a_map_to_values_that_the_field_does_not_take() {
    let mut model = company();
    field(&mut model, "phase").one_of = vec!["onboarding".to_owned(), "live".to_owned()];
    let found = by_model(&project(), "companies", &model);
    one(&found, "map_value_refused Critical syncs/companies.yaml:16:", "did you mean `onboarding`?");
}

#[test]
fn check_refuses_a_transform_both_ways_that_the_field_does_not_do_itself() {
    let project = project_of(COMPANIES, "platform: name }", "platform: name, transform: [trim] }");
    let found = by_model(&project, "companies", &company());
    one(&found, "transform_not_identity Critical syncs/companies.yaml:13:", "keeps as they are");
    let mut trims = company();
    field(&mut trims, "name").normal = NormalForm { trim: true, ..NormalForm::default() };
    assert_eq!(by_model(&project, "companies", &trims), [""; 0]);
}

#[test]
fn check_warns_of_required_fields_that_nothing_is_mapped_to() {
    let mut model = company();
    field(&mut model, "name").required = true;
    assert_eq!(by_model(&project(), "companies", &model), [""; 0]);
    field(&mut model, "status").required = true;
    let found = by_model(&project(), "companies", &model);
    one(&found, "required_unmapped Warning syncs/companies.yaml:12:1", "needs status");
    let update = project_of(COMPANIES, "write: upsert", "write: update");
    assert_eq!(by_model(&update, "companies", &model), [""; 0]);
}

#[test]
fn check_refuses_keys_that_find_no_record() {
    let project = project_of(COMPANIES, "platform: externalId }", "platform: name }");
    let found = by_model(&project, "companies", &company());
    one(&found, "not_a_key Critical syncs/companies.yaml:6:", "there are externalId, sourceId");
    let project = project_of(COMPANIES, "platform: externalId }", "platform: _id }");
    assert_eq!(by_model(&project, "companies", &company()), [""; 0], "`check` itself speaks of `_id`");
    let project = project_of(COMPANIES, ", platform: externalId }", " }");
    let found = by_model(&project, "companies", &company());
    one(&found, "key_without_platform Critical syncs/companies.yaml:6:1", "externalId");
}

#[test]
fn check_refuses_series_and_datasets_that_flow_both_ways() {
    let series = model(ModelKind::Series, &["companyExternalId", "email", "action", "weight", "date"]);
    assert_eq!(by_model(&project(), "usage", &series), [""; 0]);
    let project = project_of(USAGE, "direction: to_platform", "direction: to_warehouse");
    assert_eq!(by_model(&project, "usage", &series), [""; 0], "what can be read may be exported");
    let project = project_of(USAGE, "direction: to_platform", "direction: both");
    one(&by_model(&project, "usage", &series), "series_one_way Critical syncs/usage.yaml:5:1", "a time series");
    let project = project_of(USAGE, "{ warehouse: event_id }", "{ warehouse: event_id, platform: event }");
    one(&by_model(&project, "usage", &series), "key_unused Warning", "take `platform:` out");
}

#[test]
fn check_refuses_all_fields_and_links_without_a_dataset() {
    let dataset = model(ModelKind::Dataset, &[]);
    let linked = project_of("syncs/revenue.yaml", "fields: all", "link: { company: company_id }\nfields: all");
    assert_eq!(by_model(&linked, "revenue", &dataset), [""; 0]);
    let found = by_model(&linked, "revenue", &model(ModelKind::Series, &[]));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("all_without_dataset Critical") && found[1].starts_with("link_without_dataset"));
}

#[test]
fn check_refuses_a_missing_column_with_the_one_that_was_meant() {
    let mut short = companies();
    short.columns.retain(|column| column.name != "site");
    let found = by_relation(&project(), "companies", &short, &company());
    one(&found, "missing_column Critical syncs/companies.yaml:17:", "no column `site`; there are company_id");
    let project = project_of(COMPANIES, "warehouse: company_id", "warehouse: compny_id");
    let found = by_relation(&project, "companies", &companies(), &company());
    one(&found, "missing_column Critical syncs/companies.yaml:6:", "did you mean `company_id`?");
    let mut written_only = companies();
    written_only.columns.retain(|column| column.name != "health");
    let fits = load(&acme(), &kinds()).into_result().unwrap();
    assert_eq!(by_relation(&fits, "companies", &written_only, &company()), [""; 0], "the connector knows the SQL");
}

#[test]
fn check_refuses_a_key_of_the_wrong_type() {
    let mut number = companies();
    number.columns[0].logical = Type::Int64;
    let found = by_relation(&project(), "companies", &number, &company());
    one(&found, "key_not_text Critical syncs/companies.yaml:6:", "transform: [to_text]");
    let project = project_of(COMPANIES, "warehouse: company_id,", "warehouse: company_id, transform: [to_text],");
    assert_eq!(by_relation(&project, "companies", &number, &company()), [""; 0]);
}

fn events(key: Type) -> RelationSchema {
    let names = ["event_id", "company_id", "email", "action", "weight", "happened_at"];
    let mut relation = relation(&names.map(|name| (name, Type::Text)));
    relation.columns[0].logical = key;
    relation
}

#[test]
fn check_refuses_a_usage_key_that_is_text() {
    let series = model(ModelKind::Series, &["companyExternalId", "email", "action", "weight", "date"]);
    assert_eq!(by_relation(&project(), "usage", &events(Type::Int64), &series), [""; 0]);
    let found = by_relation(&project(), "usage", &events(Type::Text), &series);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("usage_key_not_numeric Critical syncs/usage.yaml:6:"), "{found:#?}");
    assert!(found[1].starts_with("cursor_type Critical syncs/usage.yaml:8:"), "{found:#?}");
}

#[test]
fn check_refuses_a_lookback_in_the_wrong_unit() {
    let series = model(ModelKind::Series, &["companyExternalId", "email", "action", "weight", "date"]);
    let project = project_of(USAGE, "lookback: 10000", "lookback: 10m");
    let found = by_relation(&project, "usage", &events(Type::Int64), &series);
    one(&found, "lookback_unit Critical syncs/usage.yaml:8:", "write a number of ids");
    let dataset = model(ModelKind::Dataset, &[]);
    let project = project_of("syncs/revenue.yaml", "lookback: 10m", "lookback: 10");
    let revenue = relation(&[("invoice_id", Type::Text), ("updated_at", Type::TimestampTz)]);
    let found = by_relation(&project, "revenue", &revenue, &dataset);
    one(&found, "lookback_unit Critical syncs/revenue.yaml:8:", "write a duration");
}
