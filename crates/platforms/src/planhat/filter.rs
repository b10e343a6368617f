//! Conditions. Planhat ignores filters that it does not know, so they are applied here.

use tidegate_model::Result;
use tidegate_model::sync::Condition;
use tidegate_model::value::{Type, Value};

use super::codec;
use super::models::{Field, Layout};
use crate::conditions;

/// A condition on a field.
pub(super) struct Test {
    pub(super) field: Field,
    test: conditions::Test,
}

impl Test {
    pub(super) fn new(layout: &Layout, condition: &Condition) -> Result<Self> {
        let field = layout.field(&condition.field).ok_or_else(|| layout.no_field(&condition.field))?.clone();
        let mut condition = condition.clone();
        if field.schema.logical == Type::Text {
            condition.value = codec::normal(&field, &condition.value).into_owned();
        }
        let test = conditions::Test::new(field.name(), field.schema.logical, &condition)?;
        Ok(Self { field, test })
    }

    pub(super) fn passes(&self, value: &Value) -> bool {
        self.test.passes(value)
    }
}
