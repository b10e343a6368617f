//! Values: one cell of one record, outside of Arrow. Only changed rows ever become values.

use std::fmt;

use arrow_buffer::i256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::ToSmolStr as _;

/// The logical types that a field of a record can have (semantics.md §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// True or false.
    Bool,
    /// A signed integer of 64 bits.
    Int64,
    /// An exact number: total digits (at most 76) and digits after the point.
    Decimal {
        /// Total digits, 1–76.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// A binary floating point number of 64 bits.
    Float64,
    /// Unicode text.
    Text,
    /// A calendar day.
    Date,
    /// A time of day, microseconds.
    Time,
    /// Date and time without zone, microseconds.
    Timestamp,
    /// An instant, microseconds UTC.
    TimestampTz,
    /// Bytes.
    Binary,
    /// A JSON document in canonical text.
    Json,
    /// A list of texts, such as tags.
    List,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::Int64 => f.write_str("int64"),
            Type::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Type::Float64 => f.write_str("float64"),
            Type::Text => f.write_str("text"),
            Type::Date => f.write_str("date"),
            Type::Time => f.write_str("time"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::TimestampTz => f.write_str("timestamptz"),
            Type::Binary => f.write_str("binary"),
            Type::Json => f.write_str("json"),
            Type::List => f.write_str("list"),
        }
    }
}

/// An exact decimal number: `unscaled × 10^-scale`. Equality is numeric: `1.50 == 1.5`.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// The digits as little-endian bytes: a number of 256 bits would want to stand at multiples of 16, and make every value
    /// of every record, text or number, half as large again.
    unscaled: [u8; 32],
    scale: i8,
}

impl Decimal {
    /// From the unscaled digits and the number of digits after the point (may be negative).
    pub fn new(unscaled: i256, scale: i8) -> Self {
        Self { unscaled: unscaled.to_le_bytes(), scale }
    }
    /// From 128 bit digits.
    pub fn from_i128(unscaled: i128, scale: i8) -> Self {
        Self::new(i256::from_i128(unscaled), scale)
    }
    /// Reads decimal text such as `-12.50` or `1e3`; `None` if it is not a number or has over 76 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(short) = Self::parse_short(text) {
            return Some(short);
        }
        let (body, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (sign, digits) = match body.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", body.strip_prefix('+').unwrap_or(body)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut all = format!("{whole}{fraction}");
        let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
        while scale < 0 && all.len() <= 76 {
            all.push('0');
            scale += 1;
        }
        let trimmed = all.trim_start_matches('0');
        let trimmed = if trimmed.is_empty() { "0" } else { trimmed };
        if trimmed.len() > 76 || scale > 76 {
            return None;
        }
        let unscaled = i256::from_string(&format!("{sign}{trimmed}"))?;
        Some(Self::new(unscaled, i8::try_from(scale).ok()?))
    }
    /// Plain digits that fit 128 bits, which is nearly all that is ever read; anything else takes the long way.
    fn parse_short(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, digits) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        if digits.len() > 38 || !digits.last()?.is_ascii_digit() {
            return None;
        }
        let (mut unscaled, mut scale, mut point) = (0_i128, 0_i8, false);
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    unscaled = unscaled * 10 + i128::from(byte - b'0');
                    scale += i8::from(point);
                }
                b'.' if !point => point = true,
                _ => return None,
            }
        }
        Some(Self::from_i128(if negative { -unscaled } else { unscaled }, scale))
    }
    /// The digits without the point.
    pub fn unscaled(&self) -> i256 {
        i256::from_le_bytes(self.unscaled)
    }
    /// Digits after the point.
    pub fn scale(&self) -> i8 {
        self.scale
    }
    /// The same number with another scale, only if no digit is lost and it fits 76 digits.
    pub fn rescale(&self, scale: i8) -> Option<Self> {
        if self.scale == scale {
            return Some(*self);
        }
        let steps = u32::from(scale.abs_diff(self.scale));
        if let (Some(short), Some(factor)) = (self.unscaled().to_i128(), 10_i128.checked_pow(steps)) {
            if scale < self.scale {
                return (short % factor == 0).then(|| Self::from_i128(short / factor, scale));
            }
            if let Some(scaled) = short.checked_mul(factor) {
                return Some(Self::from_i128(scaled, scale));
            }
        }
        let mut unscaled = self.unscaled();
        let ten = i256::from_i128(10);
        let mut at = self.scale;
        while at < scale {
            unscaled = unscaled.checked_mul(ten)?;
            at += 1;
        }
        while at > scale {
            if unscaled.wrapping_rem(ten) != i256::ZERO {
                return None;
            }
            unscaled = unscaled.wrapping_div(ten);
            at -= 1;
        }
        Some(Self::new(unscaled, scale))
    }
    /// The shortest form: no trailing zeros after the point, scale at least 0.
    pub fn normalized(&self) -> Self {
        if let Some(mut short) = self.unscaled().to_i128().filter(|_| self.scale >= 0) {
            let mut scale = self.scale;
            // Divisions of 128 bits are slow, and platforms' numbers have many zeros: large steps first.
            for (digits, unit) in [(16, 10_000_000_000_000_000), (8, 100_000_000), (4, 10_000), (2, 100), (1, 10)] {
                while scale >= digits && short % unit == 0 {
                    (short, scale) = (short / unit, scale - digits);
                }
            }
            return Self::from_i128(short, scale);
        }
        let ten = i256::from_i128(10);
        let mut out = *self;
        while out.scale > 0 && out.unscaled().wrapping_rem(ten) == i256::ZERO {
            out = Self::new(out.unscaled().wrapping_div(ten), out.scale - 1);
        }
        if out.scale < 0
            && let Some(whole) = out.rescale(0)
        {
            out = whole;
        }
        out
    }
    /// Number of digits, without sign and leading zeros (0 has one).
    pub fn digits(&self) -> usize {
        match self.unscaled().to_i128() {
            Some(short) => short.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1),
            None => self.unscaled().to_string().trim_start_matches('-').len(),
        }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        if self.scale == other.scale {
            return self.unscaled == other.unscaled;
        }
        let (a, b) = (self.normalized(), other.normalized());
        a.unscaled == b.unscaled && a.scale == b.scale
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let scale = self.scale.max(other.scale);
        match (self.rescale(scale), other.rescale(scale)) {
            (Some(a), Some(b)) => a.unscaled().cmp(&b.unscaled()),
            // One of them has too many digits to be written at the finer scale: it is the larger in size.
            (None, _) => {
                if self.unscaled() < i256::ZERO {
                    std::cmp::Ordering::Less
                } else {
                    std::cmp::Ordering::Greater
                }
            }
            (_, None) => {
                if other.unscaled() < i256::ZERO {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                }
            }
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly all numbers are short: they are written without a text in between.
        let short = self.unscaled().to_i128().filter(|short| short.unsigned_abs() <= u128::from(u64::MAX));
        match (short, u32::try_from(self.scale)) {
            (Some(short), Ok(scale)) if scale > 0 && scale < u64::MAX.ilog10() => {
                f.write_str(&pointed(u64::try_from(short.unsigned_abs()).unwrap_or(u64::MAX), scale, short < 0))
            }
            _ => self.long(f),
        }
    }
}

/// The text of a number with digits after its point: at most 20 digits, and fewer than that after the point. The machinery
/// for formats takes several times as long, and a first load writes each number half a dozen times.
fn pointed(digits: u64, scale: u32, negative: bool) -> Text {
    let mut text = [b'0'; 24];
    let (mut at, mut rest) = (text.len(), digits);
    let mut put = |byte: u8| {
        at -= 1;
        text[at] = byte;
        at
    };
    let digit = |rest: u64| b'0' + u8::try_from(rest % 10).unwrap_or(0);
    for _ in 0..scale {
        put(digit(rest));
        rest /= 10;
    }
    put(b'.');
    let mut start = put(digit(rest));
    while rest >= 10 {
        rest /= 10;
        start = put(digit(rest));
    }
    if negative {
        start = put(b'-');
    }
    String::from_utf8_lossy(&text[start..]).into()
}

impl Decimal {
    /// The text of a number of any length and scale.
    fn long(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.unscaled().to_i128() {
            Some(short) => short.to_string(),
            None => self.unscaled().to_string(),
        };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text.as_str()),
        };
        if self.scale <= 0 {
            let zeros = if digits == "0" { 0 } else { usize::from(self.scale.unsigned_abs()) };
            return write!(f, "{sign}{digits}{}", "0".repeat(zeros));
        }
        let scale = usize::from(self.scale.unsigned_abs());
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_smolstr())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Digits)
    }
}

/// Reads a number from its text, without a copy of it.
struct Digits;

impl serde::de::Visitor<'_> for Digits {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
        Decimal::parse(text).ok_or_else(|| E::custom("not a decimal number"))
    }
}

/// The text of a value: short ones stand in the value itself, long ones are shared, so that a copy costs next to nothing. A
/// first load holds each text of a record half a dozen times: as it was read, as it is sent, as both sides' images.
pub type Text = smol_str::SmolStr;

/// One cell of one record. NULL, absent and empty text are three things: absent is no entry at all.
///
/// The serde form is for tidegate's own store; what people and scripts see is [`Value::to_json`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// SQL NULL: known to be empty.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An exact number.
    Decimal(Decimal),
    /// A floating point number, finite in every record that is written.
    Float(f64),
    /// Text, as is.
    Text(Text),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00 on a clock without zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    TimestampTz(i64),
    /// Bytes.
    Binary(Vec<u8>),
    /// A JSON document: compact, keys sorted, numbers as written.
    Json(Text),
    /// A list of values, in practice of texts.
    List(Vec<Value>),
}

impl Value {
    /// True for NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
    /// True for what two-way syncs call empty: NULL, empty text, an empty list.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        }
    }
    /// Text from anything that holds text.
    pub fn text(text: impl Into<Text>) -> Self {
        Value::Text(text.into())
    }
    /// The text within, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
    /// What kind of value this is, in words for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int64",
            Value::Decimal(_) => "decimal",
            Value::Float(_) => "float64",
            Value::Text(_) => "text",
            Value::Date(_) => "date",
            Value::Time(_) => "time",
            Value::Timestamp(_) => "timestamp",
            Value::TimestampTz(_) => "timestamptz",
            Value::Binary(_) => "binary",
            Value::Json(_) => "json",
            Value::List(_) => "list",
        }
    }
    /// The form that scripts read: decimals as strings of their exact digits, dates and times as ISO text, bytes as hex.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match self {
            Value::Null => J::Null,
            Value::Bool(b) => J::Bool(*b),
            Value::Int(i) => J::from(*i),
            Value::Float(x) => serde_json::Number::from_f64(*x).map_or_else(|| J::String(x.to_string()), J::Number),
            Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| J::String(text.to_string())),
            Value::List(items) => J::Array(items.iter().map(Value::to_json).collect()),
            other => J::String(other.to_string()),
        }
    }
}

/// The canonical text: integers without point or leading zeros, decimals with their digits, ISO dates and times.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str(""),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Decimal(d) => write!(f, "{d}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Text(text) => f.write_str(text),
            Value::Json(text) => f.write_str(text),
            Value::Date(days) => f.write_str(&crate::time::date_text(*days)),
            Value::Time(us) => f.write_str(&crate::time::time_text(*us)),
            Value::Timestamp(us) => f.write_str(&crate::time::timestamp_text(*us)),
            Value::TimestampTz(us) => write!(f, "{}Z", crate::time::timestamp_text(*us)),
            Value::Binary(bytes) => bytes.iter().try_for_each(|b| write!(f, "{b:02x}")),
            Value::List(_) => write!(f, "{}", self.to_json()),
        }
    }
}
