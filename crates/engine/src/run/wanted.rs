//! What a table that is only written would have to be, told where it is not there or cannot be mapped as it is.

use tidegate_model::Error;
use tidegate_model::error::ErrorKind;
use tidegate_model::finding::Severity;
use tidegate_model::ports::{Need, WriteColumn};
use tidegate_model::schema::{ModelSchema, Source};
use tidegate_model::sync::{Direction, FieldMap, FieldSource};
use tidegate_model::transform::Transform;
use tidegate_model::value::Type;

use crate::api::Job;

/// The error with the statements that would mend the table in its hint, as the warehouse says them. A table that is
/// read too is its owner's: nobody proposes to change it.
pub async fn with_statements(error: Error, job: &Job, model: &ModelSchema) -> Error {
    let sync = &job.sync;
    let mendable = matches!(error.kind, ErrorKind::NotFound | ErrorKind::SchemaChanged | ErrorKind::Config);
    let (true, Direction::ToWarehouse, Source::Relation(relation)) = (mendable, sync.direction, &sync.source) else {
        return error;
    };
    let mut columns: Vec<WriteColumn> = sync.field_list().iter().filter_map(|field| column(field, model)).collect();
    let key = sync.key.warehouse.clone();
    if !columns.iter().any(|column| column.name == key) {
        columns.push(WriteColumn { name: key.clone(), logical: Type::Text, nulls: false, max_length: None });
    }
    let need = Need::Write { relation: relation.clone(), key: Some(key), columns, mode: sync.write };
    let found = job.warehouse.check(&[need]).await;
    let critical = found.into_iter().filter(|finding| finding.severity == Severity::Critical);
    let fixes: Vec<String> = critical.map(|finding| finding.fix).filter(|fix| !fix.is_empty()).collect();
    if fixes.is_empty() {
        return error;
    }
    let hint = match &error.hint {
        Some(hint) => format!("{hint}; or change the warehouse:\n{}", fixes.join("\n")),
        None => fixes.join("\n"),
    };
    error.hint(hint)
}

fn column(field: &FieldMap, model: &ModelSchema) -> Option<WriteColumn> {
    let FieldSource::Column(name) = &field.source else { return None };
    let there = model.field(&field.platform);
    let told = !field.map.is_empty() || field.transform.contains(&Transform::ToText);
    let logical = there.filter(|_| !told).map_or(Type::Text, |field| field.logical);
    let max_length = there.and_then(|field| field.max_length);
    Some(WriteColumn { name: name.clone(), logical, nulls: true, max_length })
}
