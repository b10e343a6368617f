//! Fitting values into types and rules: losslessly, or not at all (semantics.md §2).

mod convert;
mod number;

use jiff::tz::TimeZone;
use regex::Regex;
use tidegate_model::change::FieldReject;
use tidegate_model::error::{Error, Result};
use tidegate_model::schema::{Column, FieldSchema, NormalForm};
use tidegate_model::sync::As;
use tidegate_model::value::{Decimal, Type, Value};

pub(crate) use convert::possible;
pub(crate) use number::number_of;

/// A rule that a value breaks: its stable name and the reason for a person, which never holds the value.
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) reason: String,
}

impl Broken {
    pub(crate) fn new(rule: &'static str, reason: impl Into<String>) -> Self {
        Self { rule, reason: reason.into() }
    }
    pub(crate) fn of(self, field: &str) -> FieldReject {
        FieldReject::field(field, self.rule, self.reason)
    }
}

/// How values are read and written where their type alone does not say it.
#[derive(Clone)]
pub(crate) struct Reading {
    /// The zone of times without zone.
    pub(crate) zone: TimeZone,
    /// Anything that has a canonical text may become text.
    pub(crate) to_text: bool,
    /// Text may become a number or a boolean.
    pub(crate) from_text: bool,
    /// The hint of the mapping.
    pub(crate) hint: Option<As>,
    /// Format of dates in text (strftime).
    pub(crate) format: Option<String>,
}

impl Reading {
    /// Types alone decide.
    pub(crate) fn plain(zone: TimeZone) -> Self {
        Self { zone, to_text: false, from_text: false, hint: None, format: None }
    }
}

/// A type with its rules, ready for use.
pub(crate) struct Fitter {
    /// The field's name in rejects.
    name: String,
    to: Type,
    reading: Reading,
    null_rule: Option<(&'static str, String)>,
    max_length: Option<u32>,
    max_items: Option<u32>,
    one_of: Vec<String>,
    pattern: Option<Regex>,
    range: Option<(i64, i64)>,
    normal: NormalForm,
    /// No value of the target's own type can break a rule.
    free: bool,
}

/// Coerces a value to a field's type and checks its rules. For one-off use; a mapping compiles them once.
pub fn fit(value: &Value, field: &FieldSchema, zone: &TimeZone) -> Result<Value, FieldReject> {
    match Fitter::of_field(field, Reading::plain(zone.clone())) {
        Ok(fitter) => fitter.fit(value),
        Err(error) => Err(FieldReject::field(&field.name, "pattern", error.to_string())),
    }
}

impl Fitter {
    /// Rules of a platform's field.
    pub(crate) fn of_field(field: &FieldSchema, reading: Reading) -> Result<Self> {
        let pattern = match &field.pattern {
            None => None,
            Some(pattern) => Some(Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                Error::internal(format!("the pattern of field `{}` is not a regular expression", field.name))
                    .cause(error)
            })?),
        };
        let null_rule = field.required.then(|| ("required", "is required and has no value".to_owned()));
        Ok(Self::free(Self {
            name: field.name.clone(),
            to: field.logical,
            reading,
            null_rule,
            max_length: field.max_length,
            max_items: field.max_items,
            one_of: field.one_of.clone(),
            pattern,
            range: field.range,
            normal: field.normal,
            free: false,
        }))
    }

    /// Rules of a warehouse's column; rejects carry the platform's name of the field.
    pub(crate) fn of_column(name: &str, column: &Column, reading: Reading) -> Self {
        let null_rule = (!column.nullable)
            .then(|| ("not_null", format!("column `{}` is NOT NULL and there is no value", column.name)));
        Self::free(Self {
            name: name.to_owned(),
            to: column.logical,
            reading,
            null_rule,
            max_length: column.max_length,
            max_items: None,
            one_of: Vec::new(),
            pattern: None,
            range: None,
            normal: NormalForm::default(),
            free: false,
        })
    }

    fn free(mut self) -> Self {
        self.free = self.null_rule.is_none()
            && self.max_length.is_none()
            && self.max_items.is_none()
            && self.one_of.is_empty()
            && self.pattern.is_none()
            && self.range.is_none()
            && self.reading.hint.is_none_or(|hint| hint != As::Url)
            && self.to != Type::Float64;
        self
    }

    /// Whether, of a number that is there, nothing but being finite is asked.
    pub(crate) fn only_finite(&self) -> bool {
        self.range.is_none() && self.one_of.is_empty() && self.max_length.is_none()
    }

    /// Whether every value (and NULL) of the target's own type fits as it is.
    pub(crate) fn takes_all(&self) -> bool {
        self.free
    }

    /// Whether a value that is there is of the target's own type, so that only the rules are left to ask.
    pub(crate) fn has_type_of(&self, value: &Value) -> bool {
        matches!(
            (self.to, value),
            (Type::Text, Value::Text(_))
                | (Type::Bool, Value::Bool(_))
                | (Type::Int64, Value::Int(_))
                | (Type::Date, Value::Date(_))
                | (Type::TimestampTz, Value::TimestampTz(_))
        )
    }

    /// The value in the target's type, or the rule that it breaks. NULL stays NULL.
    pub(crate) fn fit(&self, value: &Value) -> Result<Value, FieldReject> {
        self.try_fit(value).map_err(|broken| broken.of(&self.name))
    }

    fn try_fit(&self, value: &Value) -> Result<Value, Broken> {
        if value.is_null() {
            return self.null().map(|()| Value::Null);
        }
        let fitted = convert::convert(value, self.to, &self.reading)?;
        self.rules(&fitted)?;
        Ok(fitted)
    }

    fn null(&self) -> Result<(), Broken> {
        match &self.null_rule {
            Some((rule, reason)) => Err(Broken::new(rule, reason.clone())),
            None => Ok(()),
        }
    }

    /// Why NULL does not fit, if it does not.
    pub(crate) fn null_rule(&self) -> Result<(), FieldReject> {
        self.null().map_err(|broken| broken.of(&self.name))
    }

    /// The rules, for text of a target of texts.
    pub(crate) fn check_text(&self, text: &str) -> Result<(), FieldReject> {
        self.text_rules(text).map_err(|broken| broken.of(&self.name))
    }

    /// The rules, for a value of the target's own type.
    pub(crate) fn check(&self, value: &Value) -> Result<(), FieldReject> {
        self.rules(value).map_err(|broken| broken.of(&self.name))
    }

    fn rules(&self, value: &Value) -> Result<(), Broken> {
        match value {
            Value::Null => self.null(),
            Value::Text(text) => self.text_rules(text),
            Value::Float(number) if !number.is_finite() => Err(Broken::new("not_finite", "is not a finite number")),
            Value::List(items) => self.list_rules(items),
            Value::Int(_) | Value::Decimal(_) | Value::Float(_) => self.number_rules(value),
            Value::Json(text) => self.length(text),
            _ => Ok(()),
        }
    }

    fn text_rules(&self, text: &str) -> Result<(), Broken> {
        let text = if self.normal.trim { text.trim() } else { text };
        if text.is_empty() && self.normal.empty_is_null {
            return self.null();
        }
        self.length(text)?;
        if self.reading.hint == Some(As::Url) && !is_url(text) {
            return Err(Broken::new("not_a_url", "is no address of the form scheme://host"));
        }
        self.pattern(text)?;
        self.one_of(text)
    }

    fn list_rules(&self, items: &[Value]) -> Result<(), Broken> {
        if let Some(most) = self.max_items.filter(|most| items.len() > *most as usize) {
            return Err(Broken::new("too_many", format!("has {} items, at most {most} are taken", items.len())));
        }
        items.iter().try_for_each(|item| {
            let text = item.to_string();
            self.length(&text)
                .and_then(|()| self.pattern(&text))
                .and_then(|()| self.one_of(&text))
                .map_err(|broken| Broken::new(broken.rule, format!("has an item that {}", broken.reason)))
        })
    }

    fn pattern(&self, text: &str) -> Result<(), Broken> {
        match &self.pattern {
            Some(pattern) if !pattern.is_match(text) => {
                Err(Broken::new("pattern", format!("does not match the pattern {pattern}")))
            }
            _ => Ok(()),
        }
    }

    fn length(&self, text: &str) -> Result<(), Broken> {
        let Some(max) = self.max_length else { return Ok(()) };
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        // Bytes bound characters from above, so most texts need no count.
        if text.len() > most && text.chars().count() > most {
            return Err(Broken::new(
                "too_long",
                format!("has more than {max} characters; use `transform: [truncate:{max}]` to cut it"),
            ));
        }
        Ok(())
    }

    fn one_of(&self, text: &str) -> Result<(), Broken> {
        let same = |allowed: &String| match self.normal.case {
            None => allowed == text,
            Some(_) => allowed.to_lowercase() == text.to_lowercase(),
        };
        if self.one_of.is_empty() || self.one_of.iter().any(same) {
            return Ok(());
        }
        let mut list = self.one_of.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
        if self.one_of.len() > 12 {
            list.push_str(", …");
        }
        Err(Broken::new("not_one_of", format!("is none of the values that the field takes ({list}); use `map:`")))
    }

    fn number_rules(&self, value: &Value) -> Result<(), Broken> {
        let Some((least, greatest)) = self.range else { return Ok(()) };
        let (low, high) = (Decimal::from_i128(least.into(), 0), Decimal::from_i128(greatest.into(), 0));
        match number_of(value) {
            Some(number) if number >= low && number <= high => Ok(()),
            _ => Err(Broken::new("out_of_range", format!("is not between {least} and {greatest}"))),
        }
    }
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let mut letters = scheme.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && rest.chars().next().is_some_and(|c| c != '/' && c != '?' && c != '#')
        && !text.chars().any(char::is_whitespace)
}

#[cfg(test)]
mod tests;
