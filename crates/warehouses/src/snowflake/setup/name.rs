//! Names and texts as SQL.

use tidegate_model::{Error, Result};

/// Snowflake's limit for an identifier.
const NAME_CHARS_MAX: usize = 255;

/// Words that cannot be a name without quotes, in SQL or in Snowflake.
const RESERVED: &str = " ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE \
    CROSS CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS FALSE \
    FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS ISSUE JOIN LATERAL \
    LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION QUALIFY REGEXP REVOKE RIGHT RLIKE \
    ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE USING \
    VALUES VIEW WHEN WHENEVER WHERE WITH ";

/// A name as Snowflake keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// A name as SQL reads it: in upper case, or exactly as it stands between double quotes.
    pub fn typed(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            let name = inner.replace("\"\"", "\"");
            if name.matches('"').count() * 2 != inner.matches('"').count() {
                return Err(unfit(text, "a quote inside of quotes is written twice"));
            }
            return Self::exact(&name);
        }
        if plain(text) {
            return Self::exact(&text.to_uppercase());
        }
        Err(unfit(text, "put it in double quotes, exactly as Snowflake shows it: '\"my name\"'"))
    }

    /// A name exactly as Snowflake keeps it.
    pub fn exact(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(unfit(text, "a name has at least one character"));
        }
        if text.chars().count() > NAME_CHARS_MAX {
            return Err(unfit("a name", "Snowflake's names have up to 255 characters"));
        }
        // A line break would end the comment that a name stands in.
        if text.chars().any(char::is_control) {
            return Err(unfit("a name", "a name has no line breaks or other control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// One of our own, known to be plain.
    pub(super) fn own(text: &str) -> Self {
        Self(text.to_uppercase())
    }

    /// In double quotes: safe whatever it holds, reserved words too.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }

    /// As Snowflake keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that stands without quotes. Compute pools, image repositories and services, and the databases and schemas
/// that hold them, take no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bare(Name);

impl Bare {
    /// Such a name as SQL reads it.
    pub fn typed(text: &str) -> Result<Self> {
        let name = Name::typed(text)?;
        let fits = plain(name.as_str()) && !name.0.contains('$') && name.0.chars().all(|c| !c.is_ascii_lowercase());
        if !fits || RESERVED.contains(&format!(" {} ", name.0)) {
            return Err(unfit(
                text,
                "Snowpark Container Services take names of letters, digits and _ only, without quotes",
            ));
        }
        Ok(Self(name))
    }

    /// As a name of any kind.
    pub fn name(&self) -> &Name {
        &self.0
    }
}

impl std::fmt::Display for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Letters, digits, `_` and `$`, neither of the last two kinds first.
fn plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

fn unfit(text: &str, hint: &str) -> Error {
    Error::config(format!("`{text}` cannot be a name in Snowflake")).hint(hint)
}

/// The name of something in a schema, with as many parts as it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Name>);

impl Path {
    /// A dotted name as SQL reads it; dots between double quotes belong to the name.
    pub fn typed(text: &str) -> Result<Self> {
        let mut parts = vec![String::new()];
        let mut quoted = false;
        for c in text.chars() {
            match c {
                '.' if !quoted => parts.push(String::new()),
                c => {
                    quoted ^= c == '"';
                    if let Some(last) = parts.last_mut() {
                        last.push(c);
                    }
                }
            }
        }
        let parts: Vec<Name> = parts.iter().map(|part| Name::typed(part)).collect::<Result<_>>()?;
        Self::of(parts)
    }

    /// A name by its parts.
    pub fn of(parts: Vec<Name>) -> Result<Self> {
        if parts.is_empty() || parts.len() > 3 {
            return Err(Error::config(format!("a name in Snowflake has up to three parts, not {}", parts.len()))
                .hint("write DATABASE.SCHEMA.NAME, or less where the rest is clear"));
        }
        Ok(Self(parts))
    }

    /// A schema.
    pub(super) fn schema(database: &Name, schema: &Name) -> Self {
        Self(vec![database.clone(), schema.clone()])
    }

    /// All three parts; what is not said comes from these.
    pub(super) fn within(&self, database: Option<&Name>, schema: Option<&Name>) -> Result<Self> {
        let missing = |what: &str, flag: &str| {
            Error::config(format!("{self} does not say its {what}"))
                .hint(format!("write DATABASE.SCHEMA.NAME, or name the {what} with {flag}"))
        };
        let mut all = self.0.clone();
        if all.len() < 2 {
            all.insert(0, schema.cloned().ok_or_else(|| missing("schema", "--schema"))?);
        }
        if all.len() < 3 {
            all.insert(0, database.cloned().ok_or_else(|| missing("database", "--database"))?);
        }
        Ok(Self(all))
    }

    /// The same of a schema: both parts.
    pub(super) fn schema_within(&self, database: Option<&Name>) -> Result<Self> {
        match (self.0.as_slice(), database) {
            ([_, _], _) => Ok(self.clone()),
            ([schema], Some(database)) => Ok(Self(vec![database.clone(), schema.clone()])),
            ([_], None) => Err(Error::config(format!("the schema {self} does not say its database"))
                .hint("write DATABASE.SCHEMA, or name the database with --database")),
            _ => Err(Error::config(format!("{self} is no schema")).hint("write DATABASE.SCHEMA")),
        }
    }

    /// Every part in double quotes.
    pub fn quoted(&self) -> String {
        self.0.iter().map(Name::quoted).collect::<Vec<_>>().join(".")
    }

    /// What stands before its last part.
    pub(super) fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// Something below it.
    pub(super) fn child(&self, name: &Name) -> Self {
        Self(self.0.iter().chain([name]).cloned().collect())
    }

    /// The schema of something that is named like this, with both of its parts.
    pub fn schema_of(&self, database: &Name, schema: Option<&Name>) -> Result<Self> {
        Ok(self.within(Some(database), schema)?.parent())
    }

    /// Its last part as a name.
    pub fn last_name(&self) -> Option<&Name> {
        self.0.last()
    }

    /// Its last part.
    pub(super) fn last(&self) -> &str {
        self.0.last().map_or("", Name::as_str)
    }

    /// Its parts.
    pub fn parts(&self) -> &[Name] {
        &self.0
    }
}

impl Path {
    /// As a connection names it: parts that a dot would cut stand in quotes.
    pub(super) fn dotted(&self) -> String {
        let part = |name: &Name| match name.as_str().contains(['.', '"']) {
            true => name.quoted(),
            false => name.as_str().to_owned(),
        };
        self.0.iter().map(part).collect::<Vec<_>>().join(".")
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<&str> = self.0.iter().map(Name::as_str).collect();
        f.write_str(&parts.join("."))
    }
}

/// A text between single quotes. Snowflake reads backslashes in it as escapes.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
