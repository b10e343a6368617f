//! What each transform does, in words and examples.

use super::docs::{Example, Sample};
use Sample::{Bool, Date, Decimal, Float, Int, Json, List, Misfit, Null, Text, Timestamp, TimestampTz};

/// The zone of the examples.
pub const ZONE: &str = "Europe/Stockholm";

/// One paragraph for each name, in the order of the page.
pub(super) const TEXTS: &[(&str, &str)] = &[
    ("trim", "Takes white space off both ends of a text, and of each text of a list. Other values stay."),
    ("lower", "Letters to lower case, also those of a list. Other values stay."),
    ("upper", "Letters to upper case, also those of a list. Other values stay."),
    ("collapse_spaces", "Makes one blank of each run of white space, line breaks too. Other values stay."),
    ("null_if_empty", "Empty text and an empty list become NULL. Put `trim` before it where blanks are empty too."),
    (
        "to_text",
        "The canonical text: integers without point or leading zeros, decimals with their digits, dates and times in ISO \
         form, instants in UTC.",
    ),
    (
        "to_number",
        "An exact number. Text may have a sign, digits, a point, an exponent and blanks around it; not a thousands \
         separator, not a comma, not a unit. Numbers stay; a float becomes the shortest decimal that names it.",
    ),
    (
        "to_boolean",
        "Reads `true`/`false`, `t`/`f`, `yes`/`no`, `y`/`n`, `on`/`off` in any case, and 1/0 as text or number. Nothing \
         else.",
    ),
    (
        "round",
        "Rounds a number to N digits after the point, half away from zero, exactly. With a negative N to tens, hundreds \
         and so on. Fewer digits are not filled up.",
    ),
    ("truncate", "Cuts a text to its first N characters (not bytes)."),
    (
        "truncate_us",
        "Cuts a time in text to microseconds. Finer digits are the misfit `sub_microsecond` without it. Times that are \
         no text have microseconds already.",
    ),
    (
        "date_only",
        "The day of a date or time. An instant's day is that of the sync's `timezone`; a time without zone keeps its own. \
         Text in ISO form is read.",
    ),
    ("epoch_days", "Days from 1970-01-01 to the day that `date_only` would give."),
    (
        "epoch_seconds",
        "Whole seconds from 1970-01-01T00:00:00Z; parts of a second are left off downwards. A day is its first instant \
         in the sync's `timezone`, and a time without zone is read in it.",
    ),
    ("epoch_millis", "As `epoch_seconds`, in milliseconds: what JavaScript calls a time."),
    ("split", "Makes a list of a text, cut at each SEP. Empty text is an empty list. `trim` after it trims each item."),
    ("join", "Makes a text of a list, with SEP between the items. NULLs of the list are left out."),
    (
        "json_path",
        "Takes one value out of a JSON document: keys with points between, positions from 0 in brackets, odd keys as \
         `[\"a.b\"]`. What is not there is NULL. Numbers keep their digits; a list of single values is a list; the rest \
         stays JSON with sorted keys.",
    ),
    ("prefix", "Puts TEXT in front of the canonical text. NULL stays NULL."),
    (
        "regex_extract",
        "What the first group of the expression RE matches, or the whole match without a group; NULL without a match. \
         Syntax of Rust's `regex`: no look-around, no back-references, linear time.",
    ),
    (
        "hash_sha256",
        "SHA-256 of the canonical text in UTF-8, as 64 lower-case hexadecimal digits. No salt: guessable \
         values, such as emails, can be found again by trying.",
    ),
];

const fn ex(transform: &'static str, input: Sample, output: Sample) -> Example {
    Example { transform, input, output }
}

/// The examples, grouped as on the page.
pub(super) const EXAMPLES: &[Example] = &[
    ex("trim", Text("  Ada \t"), Text("Ada")),
    ex("trim", List(&[" a", "b "]), List(&["a", "b"])),
    ex("trim", Int(5), Int(5)),
    ex("trim", Null, Null),
    ex("lower", Text("ÅSA@Example.COM"), Text("åsa@example.com")),
    ex("upper", Text("straße"), Text("STRASSE")),
    ex("collapse_spaces", Text("a  b\n c"), Text("a b c")),
    ex("collapse_spaces", Text(" a "), Text(" a ")),
    ex("null_if_empty", Text(""), Null),
    ex("null_if_empty", Text(" "), Text(" ")),
    ex("null_if_empty", List(&[]), Null),
    ex("null_if_empty", Int(0), Int(0)),
    ex("to_text", Int(42), Text("42")),
    ex("to_text", Decimal("12.50"), Text("12.50")),
    ex("to_text", Bool(true), Text("true")),
    ex("to_text", TimestampTz("2024-05-31T08:00:00+02:00"), Text("2024-05-31T06:00:00Z")),
    ex("to_text", Float(f64::INFINITY), Misfit("not_finite")),
    ex("to_number", Text(" -12.50 "), Decimal("-12.50")),
    ex("to_number", Text("007"), Int(7)),
    ex("to_number", Text("1e3"), Decimal("1000")),
    ex("to_number", Text("123456789012345678901234567890"), Decimal("123456789012345678901234567890")),
    ex("to_number", Float(0.1), Decimal("0.1")),
    ex("to_number", Text("1,000"), Misfit("not_a_number")),
    ex("to_number", Text(""), Misfit("not_a_number")),
    ex("to_number", Bool(true), Misfit("wrong_type")),
    ex("to_boolean", Text("Yes"), Bool(true)),
    ex("to_boolean", Text("off"), Bool(false)),
    ex("to_boolean", Int(0), Bool(false)),
    ex("to_boolean", Decimal("1.0"), Bool(true)),
    ex("to_boolean", Text("maybe"), Misfit("not_a_boolean")),
    ex("to_boolean", Int(2), Misfit("not_a_boolean")),
    ex("round:2", Decimal("2.345"), Decimal("2.35")),
    ex("round:2", Decimal("-2.345"), Decimal("-2.35")),
    ex("round:0", Decimal("0.4999"), Decimal("0")),
    ex("round:2", Decimal("7.5"), Decimal("7.5")),
    ex("round:-2", Int(1250), Int(1300)),
    ex("round:-3", Decimal("1499.99"), Decimal("1000")),
    ex("round:1", Float(0.25), Float(0.3)),
    ex("round:-1", Int(i64::MAX), Misfit("out_of_range")),
    ex("round:2", Text("1.234"), Misfit("wrong_type")),
    ex("truncate:3", Text("åäöü"), Text("åäö")),
    ex("truncate:10", Text("short"), Text("short")),
    ex("truncate:3", Int(12345), Misfit("wrong_type")),
    ex("truncate_us", Text("2024-05-31T08:00:00.123456789Z"), Text("2024-05-31T08:00:00.123456Z")),
    ex("truncate_us", Timestamp("2024-05-31T08:00:00.5"), Timestamp("2024-05-31T08:00:00.5")),
    ex("truncate_us", Text("v1.23456789"), Misfit("not_a_time")),
    ex("date_only", TimestampTz("2024-05-31T23:30:00Z"), Date("2024-06-01")),
    ex("date_only", Timestamp("2024-05-31T23:30:00"), Date("2024-05-31")),
    ex("date_only", Date("2024-05-31"), Date("2024-05-31")),
    ex("date_only", Text("2024-05-31 23:30:00"), Date("2024-05-31")),
    ex("date_only", Text("31/05/2024"), Misfit("not_a_time")),
    ex("date_only", Text("2024-05-31T08:00:00.1234567"), Misfit("sub_microsecond")),
    ex("epoch_days", Date("1970-01-02"), Int(1)),
    ex("epoch_days", TimestampTz("1969-12-31T23:30:00Z"), Int(0)),
    ex("epoch_days", Date("1969-12-31"), Int(-1)),
    ex("epoch_days", Int(5), Misfit("wrong_type")),
    ex("epoch_seconds", TimestampTz("1970-01-01T00:01:00.9Z"), Int(60)),
    ex("epoch_seconds", TimestampTz("1969-12-31T23:59:59.5Z"), Int(-1)),
    ex("epoch_seconds", Timestamp("2024-07-01T02:00:00"), Int(1_719_792_000)),
    ex("epoch_seconds", Date("2024-01-01"), Int(1_704_063_600)),
    ex("epoch_seconds", Text("2024-01-01T00:00:00Z"), Int(1_704_067_200)),
    ex("epoch_millis", TimestampTz("1970-01-01T00:00:01.234567Z"), Int(1_234)),
    ex("epoch_millis", Bool(true), Misfit("wrong_type")),
    ex("split:;", Text("a; b;;c"), List(&["a", " b", "", "c"])),
    ex("split:, ", Text("red, green"), List(&["red", "green"])),
    ex("split:;", Text(""), List(&[])),
    ex("split:;", Int(1), Misfit("wrong_type")),
    ex("join:, ", List(&["a", "b"]), Text("a, b")),
    ex("join:;", Json("[1,null,\"x\"]"), Text("1;x")),
    ex("join:;", List(&[]), Text("")),
    ex("join:;", Text("a"), Misfit("wrong_type")),
    ex("json_path:address.city", Json("{\"address\":{\"city\":\"Lund\"}}"), Text("Lund")),
    ex("json_path:lines[1].price", Text("{\"lines\":[{},{\"price\":12.50}]}"), Decimal("12.50")),
    ex("json_path:[\"a.b\"]", Json("{\"a.b\":3}"), Int(3)),
    ex("json_path:tags", Json("{\"tags\":[\"x\",\"y\"]}"), List(&["x", "y"])),
    ex("json_path:a", Json("{\"a\":{\"z\":1,\"b\":[{}]}}"), Json("{\"b\":[{}],\"z\":1}")),
    ex("json_path:gone.deeper", Json("{\"a\":1}"), Null),
    ex("json_path:a", Text("{not json"), Misfit("not_json")),
    ex("json_path:a", Int(1), Misfit("wrong_type")),
    ex("prefix:SE-", Int(42), Text("SE-42")),
    ex("prefix:SE-", Null, Null),
    ex("prefix:x", List(&["a"]), Misfit("wrong_type")),
    ex("regex_extract:^([A-Z]+)-", Text("ACME-0042"), Text("ACME")),
    ex("regex_extract:[0-9]+", Text("ACME-0042"), Text("0042")),
    ex("regex_extract:(a|b)c", Text("xbc"), Text("b")),
    ex("regex_extract:^[0-9]+$", Text("ACME"), Null),
    ex("regex_extract:^..", Int(1234), Text("12")),
    ex("hash_sha256", Text("abc"), Text("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
    ex("hash_sha256", Int(5), Text("ef2d127de37b942baad06145e54b0c619a1f22327b2ebbcfbec78f5564afe39d")),
    ex("hash_sha256", Null, Null),
];
