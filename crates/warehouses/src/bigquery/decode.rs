//! Arrow as BigQuery sends it, to the columns of our pages. Texts, whole numbers, days and times are taken over as
//! they are; decimals are brought to their declared scale, and what does not fit is said.

use std::sync::Arc;

use arrow_array::builder::{Decimal128Builder, Decimal256Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef, TimeUnit};
use tidegate_model::Result;
use tidegate_model::page::{Page, arrow_field, arrow_type};
use tidegate_model::value::{Decimal, Type};

use crate::arrived::{self, Faults, documents, floats, unknown_form};
use crate::builder::too_many_digits;
use crate::cell::canonical_json;

/// A column of a result.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Its name in the page.
    pub(super) name: String,
    /// What it is in the page.
    pub(super) logical: Type,
}

/// The schema of the pages.
pub(super) fn schema(columns: &[Wanted]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|column| arrow_field(&column.name, column.logical)).collect::<Vec<_>>()))
}

/// Brings a batch into the form of our pages.
pub(super) fn page(batch: &RecordBatch, columns: &[Wanted], schema: &SchemaRef) -> Result<Page> {
    arrived::page(batch, columns, schema, convert, |column, came| {
        unknown_form(&column.name, column.logical, came)
            .hint("its type may have changed while the run went on; run it again")
    })
}

/// `None` if the array has no form that the type has on the wire.
fn convert(array: &ArrayRef, column: &Wanted, faults: &mut Faults<'_>) -> Option<ArrayRef> {
    let logical = column.logical;
    match (logical, array.data_type()) {
        (_, DataType::Null) => Some(arrow_array::new_null_array(&arrow_type(logical), array.len())),
        (Type::Decimal { precision, scale }, _) => decimals(array, precision, scale, faults),
        (Type::Float64, DataType::Float64) => Some(floats(array, faults)),
        (Type::Json | Type::List, DataType::Utf8) => Some(documents(array.as_string::<i32>(), canonical_json, faults)),
        (Type::Int64, DataType::Int64)
        | (Type::Text, DataType::Utf8)
        | (Type::Bool, DataType::Boolean)
        | (Type::Binary, DataType::Binary)
        | (Type::Date, DataType::Date32)
        | (Type::Time, DataType::Time64(TimeUnit::Microsecond))
        | (Type::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None)) => Some(array.clone()),
        (Type::TimestampTz, DataType::Timestamp(TimeUnit::Microsecond, Some(_))) => {
            Some(Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC")))
        }
        _ => None,
    }
}

fn decimals(array: &ArrayRef, precision: u8, scale: i8, faults: &mut Faults<'_>) -> Option<ArrayRef> {
    // The 77th digit that BIGNUMERIC may have has no room in ours, so wide ones are looked at one by one.
    let as_is = precision <= 38 && array.data_type() == &arrow_type(Type::Decimal { precision, scale });
    if as_is {
        return Some(array.clone());
    }
    let number = |row: usize| -> Option<Option<Decimal>> {
        if array.is_null(row) {
            return Some(None);
        }
        Some(Some(match array.data_type() {
            DataType::Decimal128(_, from) => {
                Decimal::from_i128(array.as_primitive::<Decimal128Type>().value(row), *from)
            }
            DataType::Decimal256(_, from) => Decimal::new(array.as_primitive::<Decimal256Type>().value(row), *from),
            _ => return None,
        }))
    };
    let kind = arrow_type(Type::Decimal { precision, scale });
    let mut narrow = Decimal128Builder::new();
    let mut wide = Decimal256Builder::new();
    for row in 0..array.len() {
        let there = number(row)?;
        let fit = there.and_then(|n| n.rescale(scale)).filter(|n| n.digits() <= usize::from(precision));
        if there.is_some() && fit.is_none() {
            let fault = too_many_digits(precision, scale);
            faults.add(row, fault.rule, fault.reason);
        }
        if precision <= 38 {
            narrow.append_option(fit.and_then(|n| n.unscaled().to_i128()));
        } else {
            wide.append_option(fit.map(|n| n.unscaled()));
        }
    }
    if precision <= 38 {
        return Some(Arc::new(narrow.finish().with_data_type(kind)));
    }
    Some(Arc::new(wide.finish().with_data_type(kind)))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, Decimal256Array, Float64Array, StringArray};
    use arrow_buffer::i256;
    use tidegate_model::cells::value_at;
    use tidegate_model::value::Value;

    use super::*;

    fn one(array: ArrayRef, logical: Type) -> Page {
        let batch = RecordBatch::try_from_iter([("c", array)]).expect("a batch");
        let wanted = [Wanted { name: "c".into(), logical }];
        page(&batch, &wanted, &schema(&wanted)).expect("a page")
    }

    #[test]
    fn decimals_come_at_their_declared_scale_or_are_told() {
        let sent = Decimal128Array::from(vec![Some(1_500_000_000), None, Some(1)]);
        let sent = sent.with_precision_and_scale(38, 9).expect("numeric");
        let page = one(Arc::new(sent), Type::Decimal { precision: 6, scale: 2 });
        assert_eq!(value_at(&page.rows, 0, 0), Value::Decimal(Decimal::parse("1.5").expect("a number")));
        assert_eq!(value_at(&page.rows, 0, 1), Value::Null);
        assert_eq!(page.misfits.iter().map(|m| (m.row, m.rule)).collect::<Vec<_>>(), [(2, "out_of_range")]);
    }

    #[test]
    fn bignumeric_keeps_76_digits() {
        let nines = format!("{}.{}", "9".repeat(38), "9".repeat(38));
        let most = i256::from_string(&"9".repeat(76)).expect("76 digits");
        let beyond = i256::from_string(&format!("1{}", "0".repeat(76))).expect("77 digits");
        let sent = Decimal256Array::from(vec![Some(most), Some(-most), Some(i256::ONE), Some(beyond)]);
        let sent = sent.with_data_type(DataType::Decimal256(76, 38));
        let kind = Type::Decimal { precision: 76, scale: 38 };
        let page = one(Arc::new(sent), kind);
        let number = |text: &str| Value::Decimal(Decimal::parse(text).expect("a number"));
        assert_eq!(value_at(&page.rows, 0, 0), number(&nines));
        assert_eq!(value_at(&page.rows, 0, 1), number(&format!("-{nines}")));
        assert_eq!(value_at(&page.rows, 0, 2), number(&format!("0.{}1", "0".repeat(37))));
        assert_eq!(page.misfits.iter().map(|m| (m.row, m.rule)).collect::<Vec<_>>(), [(3, "out_of_range")]);
    }

    #[test]
    fn what_is_not_finite_or_no_document_is_told() {
        let page = one(Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(1.0), None])), Type::Float64);
        assert_eq!(page.misfits[0].rule, "not_finite");
        assert_eq!(value_at(&page.rows, 0, 1), Value::Float(1.0));
        let page = one(Arc::new(StringArray::from(vec![Some("{\"b\":1, \"a\":2}"), Some("{")])), Type::Json);
        assert_eq!(value_at(&page.rows, 0, 0), Value::Json("{\"a\":2,\"b\":1}".into()));
        assert_eq!(page.misfits[0].rule, "bad_json");
    }
}
