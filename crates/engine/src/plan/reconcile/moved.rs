//! What one side of a field did since its image, with reads that are older than our own writes told apart.

use tidegate_model::sync::Target;
use tidegate_model::value::Value;

use super::super::images::{FieldImage, Image};
use super::super::map::MappedField;
use super::fields::{changed, same};
use super::{Look, Rules, SideRow};

/// What one side of a field did since its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It shows its image, or what we sent.
    Same,
    /// A person, or another program, changed it.
    Changed,
    /// It shows what stood there before our own write: a stale read, left alone.
    Stale,
    /// We cleared it and it still shows the old value.
    CannotClear,
}

/// What a side of a field did since its image.
pub fn moved(
    rules: &Rules<'_>,
    field: &MappedField,
    side: Target,
    row: &SideRow,
    at: usize,
    image: &Image,
    images: &FieldImage,
) -> Move {
    let now = &row.values[at];
    let skipped = now.is_null() && matches!(field.to_platform(&Value::Null), Ok(None));
    if skipped || !changed(rules, field, side, image, now) {
        return Move::Same;
    }
    let Some(sent) = images.sent(side).filter(|sent| !sent.seen) else { return Move::Changed };
    if same(field, side, &sent.value, now) {
        return Move::Same;
    }
    let Some(before) = &sent.before else { return Move::Changed };
    if side == Target::Warehouse || !same(field, side, before, now) {
        return Move::Changed;
    }
    let newer = row.updated_at.is_some_and(|time| time > sent.at.0);
    if !newer && rules.now.millis_since(sent.at) <= rules.sync.settle_lag_ms {
        return Move::Stale;
    }
    // The time may be that of our own write. A field that was cleared and shows just what stood there was not cleared;
    // that somebody typed the same again is far less likely, and nothing is lost by saying so.
    if sent.value.is_null() { Move::CannotClear } else { Move::Changed }
}

/// Whether the platform's row shows a field as it was before our own write: all that it shows may be old.
pub fn stale(rules: &Rules<'_>, look: &Look, row: &SideRow) -> bool {
    rules.mapping.fields.iter().enumerate().any(|(at, field)| {
        let images = look.detail.field(field.id);
        images
            .and_then(|images| Some((images, images.platform.as_ref()?)))
            .is_some_and(|(images, image)| moved(rules, field, Target::Platform, row, at, image, images) == Move::Stale)
    })
}
