//! Exact decimal numbers.

use std::borrow::Cow;
use std::fmt;

use arrow_buffer::i256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
            if let Ok(mut small) = i64::try_from(short) {
                while scale > 0 && small % 10 == 0 {
                    (small, scale) = (small / 10, scale - 1);
                }
                return Self::from_i128(small.into(), scale);
            }
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
            Some(short) => {
                let short = short.unsigned_abs();
                // Of 64 bits it takes a fraction of the time.
                let log = u64::try_from(short).map_or_else(|_| short.checked_ilog10(), u64::checked_ilog10);
                log.map_or(1, |log| log as usize + 1)
            }
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
        f.write_str(&self.text(&mut [0; Self::ROOM]))
    }
}

/// The least number of 39 digits.
const DIGITS_38: u128 = 10_u128.pow(38);
/// The least number of 20 digits.
const DIGITS_19: u128 = 10_u128.pow(19);

impl Decimal {
    /// Bytes of the room for [`Decimal::text`].
    pub const ROOM: usize = 48;

    /// Its text: in the room that is lent, unless it is longer.
    pub fn text<'t>(&self, room: &'t mut [u8; Self::ROOM]) -> Cow<'t, str> {
        self.plain(room).map_or_else(|| Cow::Owned(self.long()), Cow::Borrowed)
    }

    /// The text of a number of at most 38 digits, as nearly all are, digit by digit. The machinery for formats takes several
    /// times as long, and a first load writes each number half a dozen times.
    fn plain<'t>(&self, text: &'t mut [u8; Self::ROOM]) -> Option<&'t str> {
        let short = self.unscaled().to_i128().filter(|short| short.unsigned_abs() < DIGITS_38)?;
        let (digits, scale) = (short.unsigned_abs(), u32::try_from(self.scale).ok().filter(|scale| *scale <= 38)?);
        let half = |digits: u128| u64::try_from(digits).unwrap_or(u64::MAX);
        // Divisions of 128 bits are slow: two of them at most, and the digits from halves of 64.
        let (mut low, mut high) = match digits < DIGITS_19 {
            true => (half(digits), 0),
            false => (half(digits % DIGITS_19), half(digits / DIGITS_19)),
        };
        let mut at = text.len();
        let mut place = 0;
        while place <= scale || low > 0 || high > 0 {
            if place == scale && scale > 0 {
                at -= 1;
                text[at] = b'.';
            }
            if place == 19 {
                low = std::mem::take(&mut high);
            }
            at -= 1;
            text[at] = b'0' + u8::try_from(low % 10).unwrap_or(0);
            (low, place) = (low / 10, place + 1);
        }
        if short < 0 {
            at -= 1;
            text[at] = b'-';
        }
        std::str::from_utf8(&text[at..]).ok()
    }

    /// The text of a number of any length and scale.
    fn long(&self) -> String {
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
            return format!("{sign}{digits}{}", "0".repeat(zeros));
        }
        let scale = usize::from(self.scale.unsigned_abs());
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text(&mut [0; Self::ROOM]))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_at_the_bounds_are_written_whole() {
        let nineteen = DIGITS_19.cast_signed();
        let most = DIGITS_38.cast_signed();
        for unscaled in [0, 1, 9, 10, nineteen - 1, nineteen, nineteen + 1, most - 1, most, i128::MAX] {
            for scale in [0, 1, 17, 18, 19, 20, 37, 38, 39, -2] {
                for signed in [unscaled, -unscaled] {
                    let number = Decimal::from_i128(signed, scale);
                    assert_eq!(number.to_string(), number.long(), "{signed} at scale {scale}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_number_is_written_the_same_both_ways(unscaled in any::<i128>(), shift in 0_u32..127, scale in -3_i8..45) {
            let number = Decimal::from_i128(unscaled >> shift, scale);
            prop_assert_eq!(number.to_string(), number.long());
            let back = Decimal::parse(&number.to_string()).filter(|_| scale >= 0);
            prop_assert!(scale < 0 || back == Some(number));
            prop_assert_eq!(number.normalized(), number);
        }
    }
}
