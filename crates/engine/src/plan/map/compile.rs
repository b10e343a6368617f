//! From a sync and what both sides look like to a mapping that is ready for use.

use std::collections::BTreeMap;
use std::hash::Hasher;

use jiff::tz::TimeZone;
use siphasher::sip::SipHasher13;
use tidegate_model::config::did_you_mean;
use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::schema::{Column, FieldSchema, ModelSchema, NormalForm, RelationSchema};
use tidegate_model::sync::{As, Direction, EmptyText, FieldMap, FieldSet, FieldSource, Nulls, OnMisfit, Sync, Target};
use tidegate_model::transform::{self, Transform, is_identity_under};
use tidegate_model::value::{Type, Value};

use super::{KeyMapping, MappedField, Mapping, types};
use crate::plan::fit::{Fitter, Reading, possible};

pub(super) fn mapping(sync: &Sync, relation: &RelationSchema, model: &ModelSchema) -> Result<Mapping> {
    let zone = TimeZone::get(&sync.timezone).map_err(|_| {
        Error::config(format!("sync `{}`: there is no time zone `{}`", sync.name, sync.timezone))
            .hint("write an IANA name such as Europe/Stockholm")
    })?;
    let key = KeyMapping::compile(sync, relation, model, &zone)?;
    let lines = match &sync.fields {
        FieldSet::List(lines) => lines.clone(),
        FieldSet::All => relation.columns.iter().map(|column| same_name(sync, &column.name)).collect(),
    };
    let mut fields: Vec<MappedField> = Vec::with_capacity(lines.len());
    let (mut new_fields, mut addresses) = (Vec::new(), Vec::new());
    for line in &lines {
        if fields.iter().any(|field| *field.name == *line.platform) {
            return Err(Error::config(format!("sync `{}` maps the field `{}` twice", sync.name, line.platform))
                .hint("leave one of the two lines"));
        }
        let one = One { sync, relation, model, line, zone: &zone };
        let field = one.compile()?;
        if model.field(&line.platform).is_none() {
            new_fields.push((line.platform.clone(), field.target.logical));
            addresses.extend((line.hint == Some(As::Url)).then(|| line.platform.clone()));
        }
        fields.push(field);
    }
    let mut hasher = SipHasher13::new_with_keys(0x7469_6465, 0x6761_7465);
    for field in &fields {
        let ways = [Target::Platform, Target::Warehouse].map(|to| u8::from(field.direction.reaches(to)));
        let rules = [u8::from(field.on_misfit == OnMisfit::DropField), u8::from(field.nulls == Nulls::Skip)];
        hasher.write_u64(field.id);
        hasher.write(&[ways, rules].concat());
    }
    Ok(Mapping { fields, hash: hasher.finish(), key, zone, new_fields, addresses })
}

/// A line of `fields: all`: a column under its own name.
fn same_name(sync: &Sync, column: &str) -> FieldMap {
    FieldMap {
        source: FieldSource::Column(column.to_owned()),
        platform: column.to_owned(),
        direction: sync.direction,
        transform: Vec::new(),
        map: BTreeMap::new(),
        nulls: Nulls::Clear,
        on_misfit: OnMisfit::RejectRecord,
        empty: EmptyText::Keep,
        hint: None,
        format: None,
        conflict: None,
    }
}

pub(super) fn missing_column(sync: &Sync, place: &str, name: &str, relation: &RelationSchema) -> Error {
    let names = relation.columns.iter().map(|column| column.name.as_str());
    Error::new(ErrorKind::SchemaChanged, format!("sync `{}`, {place}: there is no column `{name}`", sync.name))
        .hint(choice("column", name, names))
}

pub(super) fn missing_field(sync: &Sync, place: &str, name: &str, model: &ModelSchema) -> Error {
    let names = model.fields.iter().map(|field| field.name.as_str());
    let mut hint = choice("field", name, names);
    if model.custom_fields && !name.starts_with("custom.") {
        hint.push_str(&format!("; a field of your own is written `custom.{name}`"));
    }
    Error::config(format!("sync `{}`, {place}: `{}` has no field `{name}`", sync.name, model.name)).hint(hint)
}

fn choice<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match did_you_mean(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the {what}s are {}", names.take(40).collect::<Vec<_>>().join(", ")),
    }
}

/// One line of `fields:` with its surroundings.
struct One<'a> {
    sync: &'a Sync,
    relation: &'a RelationSchema,
    model: &'a ModelSchema,
    line: &'a FieldMap,
    zone: &'a TimeZone,
}

impl One<'_> {
    fn compile(&self) -> Result<MappedField> {
        let line = self.line;
        let (column, source_type) = match &line.source {
            FieldSource::Column(name) => {
                let column = self
                    .relation
                    .column(name)
                    .ok_or_else(|| missing_column(self.sync, &self.place(), name, self.relation))?;
                (Some(column), column.logical)
            }
            FieldSource::Constant(value) => (None, constant_type(value)),
        };
        let target = self.target(source_type)?;
        self.check(&target, column)?;
        let forward = Fitter::of_field(&target, self.reading(&target, source_type))?;
        let backward =
            column.map(|column| Fitter::of_column(&line.platform, column, self.reading_back(&target, column)));
        self.check_types(source_type, &target)?;
        let (map, back) = self.maps(&target, source_type)?;
        let mut field = MappedField {
            name: line.platform.as_str().into(),
            column: column.map(|column| column.name.as_str().into()),
            id: self.id(source_type, target.logical)?,
            direction: line.direction,
            source_type,
            target,
            warehouse_normal: NormalForm::default(),
            on_misfit: line.on_misfit,
            nulls: line.nulls,
            conflict: line.conflict.unwrap_or(self.sync.conflict),
            constant: None,
            steps: transform::compile(&line.transform).map_err(|error| error.at(self.place()))?,
            map,
            back,
            empty: line.empty,
            zone: self.zone.clone(),
            forward,
            backward,
        };
        if let FieldSource::Constant(value) = &line.source {
            field.constant = Some(self.constant(&field, value)?);
        }
        Ok(field)
    }

    fn place(&self) -> String {
        format!("field `{}`", self.line.platform)
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Error {
        Error::config(format!("sync `{}`, field `{}`: {why}", self.sync.name, self.line.platform))
    }

    /// The platform's field: as it is, or as it will be when it is made.
    fn target(&self, source: Type) -> Result<FieldSchema> {
        let name = &self.line.platform;
        if let Some(field) = self.model.field(name) {
            return Ok(field.clone());
        }
        if self.model.makes(name) {
            let (logical, address) = (types::for_new_field(source, self.line), self.line.hint == Some(As::Url));
            return self.model.custom(name, logical, address).ok_or_else(|| {
                let takes = self.model.customs.iter().map(|rules| rules.logical.to_string()).collect::<Vec<_>>();
                self.wrong(format!("`{}` has no fields of its own of the type {logical}", self.model.name)).hint(
                    format!("it has {}: give the field another type with `transform:` or `as:`", takes.join(", ")),
                )
            });
        }
        Err(missing_field(self.sync, &self.place(), name, self.model))
    }

    /// What makes a mapping impossible whatever the rows hold.
    fn check(&self, target: &FieldSchema, column: Option<&Column>) -> Result<()> {
        let line = self.line;
        if target.read_only && line.direction.reaches(Target::Platform) {
            return Err(self
                .wrong(format!("`{}` writes this field itself", self.model.name))
                .hint("set `direction: to_warehouse`, or leave the line out"));
        }
        if column.is_none() && line.direction.reaches(Target::Warehouse) {
            return Err(self.wrong("a constant flows to the platform only").hint("set `direction: to_platform`"));
        }
        if line.direction == Direction::Both
            && let Some(transform) = line.transform.iter().find(|transform| !identity(transform, target, column))
        {
            return Err(self
                .wrong(format!("the transform {transform:?} changes values, so a two-way field would not keep still"))
                .hint("set a `direction` of one way, or transform in a view of the warehouse"));
        }
        Ok(())
    }

    fn check_types(&self, source: Type, target: &FieldSchema) -> Result<()> {
        let line = self.line;
        if !line.map.is_empty() || matches!(line.source, FieldSource::Constant(_)) {
            return Ok(());
        }
        let towards = |from: Type, to: Type, reading: &Reading, what: &str| {
            let from = types::after(
                from,
                if what == "column" && line.direction == Direction::Both { &[] } else { &line.transform },
            );
            match from {
                Some(from) if !possible(from, to, reading) => Err(self
                    .wrong(format!("{from} cannot become the {what}'s {to}"))
                    .hint("add `as:` or a `transform:`, or map another column")),
                _ => Ok(()),
            }
        };
        if line.direction.reaches(Target::Platform) {
            towards(source, target.logical, &self.reading(target, source), "field")?;
        }
        if line.direction.reaches(Target::Warehouse)
            && let FieldSource::Column(name) = &line.source
            && let Some(column) = self.relation.column(name)
        {
            towards(target.logical, column.logical, &self.reading_back(target, column), "column")?;
        }
        Ok(())
    }

    /// References and keys are names: whatever names a record there may be written as its text.
    fn names_a_record(&self, target: &FieldSchema) -> bool {
        target.references.is_some()
            || self.model.keys.contains(&target.name)
            || self.sync.key.platform.as_deref() == Some(target.name.as_str())
    }

    fn reading(&self, target: &FieldSchema, source: Type) -> Reading {
        let hint = self.line.hint;
        Reading {
            to_text: hint == Some(As::Text) || (self.names_a_record(target) && names(source)),
            from_text: matches!(hint, Some(As::Number | As::Boolean)),
            hint,
            format: self.line.format.clone(),
            zone: self.zone.clone(),
        }
    }

    /// The way back of whatever the way there may do.
    fn reading_back(&self, target: &FieldSchema, column: &Column) -> Reading {
        let hint = self.line.hint.filter(|hint| *hint != As::Url);
        let by_name = self.names_a_record(target) && names(column.logical);
        Reading {
            to_text: hint.is_some(),
            from_text: hint.is_some() || by_name,
            hint,
            format: self.line.format.clone(),
            zone: self.zone.clone(),
        }
    }

    /// The map in both directions, its texts read by the types of the two sides.
    fn maps(&self, target: &FieldSchema, source: Type) -> Result<(BTreeMap<String, Value>, BTreeMap<String, Value>)> {
        let (mut there, mut back) = (BTreeMap::new(), BTreeMap::new());
        for (from, to) in &self.line.map {
            let value = self.read(to, target.logical)?;
            if self.line.direction.reaches(Target::Warehouse) {
                let before = back.insert(value.to_string(), self.read(from, source)?);
                if before.is_some() {
                    return Err(self
                        .wrong(format!("`map` makes `{to}` of two values, so it cannot be read backwards"))
                        .hint("make it one-to-one, or set `direction: to_platform`"));
                }
            }
            there.insert(from.clone(), value);
        }
        Ok((there, back))
    }

    /// Text of the project file as a value of a type.
    fn read(&self, text: &str, to: Type) -> Result<Value> {
        if to == Type::Text {
            return Ok(Value::text(text));
        }
        let reading = Reading { from_text: true, hint: Some(As::Tags), ..Reading::plain(self.zone.clone()) };
        let fitter = Fitter::of_field(&FieldSchema::new(&self.line.platform, to), reading)?;
        fitter.fit(&Value::text(text)).map_err(|reject| {
            self.wrong(format!("`{text}` in `map` {}", reject.reason)).hint(format!("write a value of type {to}"))
        })
    }

    fn constant(&self, field: &MappedField, value: &Value) -> Result<Value> {
        let fitted = match value {
            // A constant is written in the project file: its text is read by the field's type.
            Value::Text(text) if field.target.logical != Type::Text => self.read(text, field.target.logical)?,
            Value::Int(_) | Value::Decimal(_) | Value::Float(_) | Value::Bool(_)
                if field.target.logical == Type::Text =>
            {
                Value::text(value.to_string())
            }
            other => other.clone(),
        };
        field.forward.fit(&fitted).map_err(|reject| {
            self.wrong(format!("the constant {}", reject.reason)).hint("write a value that the field takes")
        })
    }

    /// Hashes the names and values that make the mapping, in a form that outlives versions of this program.
    fn id(&self, source: Type, target: Type) -> Result<u64> {
        let line = self.line;
        let timed = |logical| matches!(logical, Type::Timestamp | Type::TimestampTz | Type::Date);
        let zone = (timed(source) || timed(target)).then_some(self.sync.timezone.as_str());
        let from = match &line.source {
            FieldSource::Column(name) => ("column", name.clone()),
            FieldSource::Constant(value) => (value.type_name(), value.to_string()),
        };
        let parts = (&line.platform, from, &line.transform, &line.map, line.empty, line.hint, &line.format, zone);
        let bytes = serde_json::to_vec(&parts).map_err(|error| Error::internal("hash a mapping").cause(error))?;
        let mut hasher = SipHasher13::new_with_keys(0x7469_6465, 0x6669_656c);
        hasher.write(&bytes);
        Ok(hasher.finish())
    }
}

/// Types whose canonical text can name a record.
fn names(logical: Type) -> bool {
    matches!(logical, Type::Text | Type::Int64 | Type::Decimal { .. })
}

/// Whether a transform leaves values as they are, under the normal forms and for the types at hand.
fn identity(transform: &Transform, target: &FieldSchema, column: Option<&Column>) -> bool {
    let from = column.map_or(Type::Text, |column| column.logical);
    is_identity_under(transform, &target.normal)
        || match transform {
            Transform::ToText => from == Type::Text && target.logical == Type::Text,
            Transform::ToNumber => number(from) && number(target.logical),
            Transform::ToBoolean => from == Type::Bool,
            Transform::DateOnly => from == Type::Date,
            _ => false,
        }
}

fn number(logical: Type) -> bool {
    matches!(logical, Type::Int64 | Type::Decimal { .. } | Type::Float64)
}

fn constant_type(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int64,
        Value::Decimal(number) => Type::Decimal { precision: 38, scale: number.scale().max(0) },
        Value::Float(_) => Type::Float64,
        Value::Date(_) => Type::Date,
        Value::Time(_) => Type::Time,
        Value::Timestamp(_) => Type::Timestamp,
        Value::TimestampTz(_) => Type::TimestampTz,
        Value::Binary(_) => Type::Binary,
        Value::Json(_) => Type::Json,
        Value::List(_) => Type::List,
        Value::Null | Value::Text(_) => Type::Text,
    }
}
