//! Rules of a field on a whole column.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use tidegate_model::cells::cell;
use tidegate_model::change::FieldReject;

use crate::plan::fit::Fitter;

/// Adds the rows that break a rule. The column is of the target's own type.
pub(super) fn check(array: &ArrayRef, fitter: &Fitter, field: &Field, broken: &mut Vec<(usize, FieldReject)>) {
    if array.null_count() > 0
        && let Err(why) = fitter.null_rule()
    {
        let nulls = (0..array.len()).filter(|row| array.is_null(*row));
        broken.extend(nulls.map(|row| (row, why.clone())));
    }
    let set = (0..array.len()).filter(|row| !array.is_null(*row));
    let logical_text = field.metadata().is_empty();
    match array.data_type() {
        DataType::Utf8 if logical_text => {
            let texts = array.as_string::<i32>();
            broken.extend(set.filter_map(|row| fitter.check_text(texts.value(row)).err().map(|why| (row, why))));
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            let odd = !fitter.only_finite() || numbers.values().iter().any(|number| !number.is_finite());
            if odd {
                broken.extend(set.filter_map(|row| fitter.check(&cell(array, field, row)).err().map(|why| (row, why))));
            }
        }
        _ if fitter.only_finite() => {}
        _ => broken.extend(set.filter_map(|row| fitter.check(&cell(array, field, row)).err().map(|why| (row, why)))),
    }
}
