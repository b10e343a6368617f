//! Small pieces that pages are made of.

mod act;
mod lists;
mod schema_form;
mod state;
mod text;

pub(super) use act::{Act, back_field};
pub(super) use lists::{empty, filter_box, head, pager};
pub(super) use schema_form::{Settings, fields as schema_fields, flat, read as read_settings};
pub(super) use state::{State, badge, direction, health, severity};
pub(super) use text::{ago, at, capital, duration, escaped, grouped, link, plural, sentence, value};

pub(super) use crate::export::text as value_text;
