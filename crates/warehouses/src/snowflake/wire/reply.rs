//! What the server answers. Read tolerantly: every field may be missing, for no document promises them, and servers
//! of different ages and clouds leave out different ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::place::{Materials, StageInfo};

/// An answer: `data` if all went well, else a code and a message (and often some `data` as well).
#[derive(Debug, Deserialize)]
#[serde(default, bound = "T: Deserialize<'de> + Default")]
pub(super) struct Reply<T> {
    #[serde(deserialize_with = "or_default")]
    pub(super) data: T,
    #[serde(deserialize_with = "text")]
    pub(super) code: String,
    #[serde(deserialize_with = "text")]
    pub(super) message: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) success: bool,
}

impl<T: Default> Default for Reply<T> {
    fn default() -> Self {
        Self { data: T::default(), code: String::new(), message: String::new(), success: false }
    }
}

/// `null` is as good as nothing.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A text, or a number as its text.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    })
}

/// Of a login, and of a renewal.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LoginData {
    #[serde(deserialize_with = "or_default")]
    pub(super) token: String,
    /// What a renewal calls the token.
    #[serde(deserialize_with = "or_default")]
    pub(super) session_token: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) master_token: String,
    pub(super) master_validity_in_seconds: Option<u64>,
    #[serde(rename = "validityInSecondsMT")]
    pub(super) validity_in_seconds_mt: Option<u64>,
    pub(super) session_info: Option<SessionInfo>,
}

/// Where a session stands after its login.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::snowflake) struct SessionInfo {
    pub(in crate::snowflake) database_name: Option<String>,
    pub(in crate::snowflake) schema_name: Option<String>,
    pub(in crate::snowflake) warehouse_name: Option<String>,
    pub(in crate::snowflake) role_name: Option<String>,
}

/// Of a statement.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct QueryData {
    #[serde(deserialize_with = "or_default")]
    pub(super) query_id: String,
    #[serde(deserialize_with = "text")]
    pub(super) sql_state: String,
    /// Where to ask again while it still runs.
    pub(super) get_result_url: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) rowtype: Vec<RowType>,
    #[serde(deserialize_with = "or_default")]
    pub(super) query_result_format: String,
    /// Rows of a JSON result that came along.
    #[serde(deserialize_with = "or_default")]
    pub(super) rowset: JsonRows,
    /// Rows of an Arrow result that came along.
    #[serde(rename = "rowsetBase64")]
    pub(super) rowset_base64: Option<String>,
    pub(super) total: Option<u64>,
    pub(super) returned: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    pub(super) chunks: Vec<ChunkRef>,
    #[serde(deserialize_with = "or_default")]
    pub(super) chunk_headers: BTreeMap<String, String>,
    /// The key that S3 wants with each chunk where there are no headers.
    pub(super) qrmk: Option<String>,
    /// Of a PUT: where the file goes.
    pub(super) stage_info: Option<StageInfo>,
    /// Of a PUT: what the file is sealed with.
    pub(super) encryption_material: Option<Materials>,
}

/// Rows as JSON carries them: every cell a text, or NULL.
pub(super) type JsonRows = Vec<Vec<Option<String>>>;

/// One column of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::snowflake) struct RowType {
    #[serde(deserialize_with = "or_default")]
    pub(in crate::snowflake) name: String,
    /// `fixed`, `text`, `timestamp_ntz`, …, in any case.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub(in crate::snowflake) kind: String,
    pub(in crate::snowflake) precision: Option<i64>,
    pub(in crate::snowflake) scale: Option<i64>,
    pub(in crate::snowflake) length: Option<u64>,
    pub(in crate::snowflake) nullable: Option<bool>,
    pub(in crate::snowflake) collation: Option<String>,
}

/// Where some more rows are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ChunkRef {
    #[serde(deserialize_with = "or_default")]
    pub(super) url: String,
    pub(super) row_count: Option<u64>,
    pub(super) uncompressed_size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_missing_or_null_stops_an_answer() {
        let reply: Reply<QueryData> = serde_json::from_str(
            r#"{"data":{"rowtype":null,"chunks":null,"rowset":[["1",null]],"total":1,"new":{"a":[]}},"code":390112,"message":null,"success":true}"#,
        )
        .expect("an answer");
        assert_eq!((reply.code.as_str(), reply.message.as_str(), reply.success), ("390112", "", true));
        assert_eq!(reply.data.rowset, [[Some("1".to_owned()), None]]);
        let reply: Reply<QueryData> = serde_json::from_str(r#"{"data":null}"#).expect("an answer");
        assert!(!reply.success && reply.data.query_id.is_empty());
        let reply: Reply<LoginData> =
            serde_json::from_str(r#"{"data":{"token":"t","masterToken":null},"success":true}"#).expect("an answer");
        assert_eq!((reply.data.token.as_str(), reply.data.master_token.as_str()), ("t", ""));
    }
}
