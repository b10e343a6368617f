//! Holds SQL against `keywords.json`: what Snowflake does not document fails.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::lexer::{Token, lex, statements};

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keywords {
    #[serde(rename = "about")]
    _about: String,
    pub statements: Vec<Statement>,
    pub privileges: Privileges,
}

/// One kind of statement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub head: String,
    pub source: String,
    #[serde(rename = "note")]
    _note: Option<String>,
    #[serde(default)]
    guard: Vec<String>,
    #[serde(default)]
    nameless: bool,
    #[serde(default)]
    then: Vec<String>,
    #[serde(default)]
    clauses: Vec<String>,
    #[serde(default)]
    options: BTreeMap<String, Value>,
    #[serde(default)]
    needs: Vec<String>,
    columns: Option<Columns>,
    body: Option<String>,
    arguments: Option<usize>,
    whole: Option<String>,
}

/// What an option takes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Kind(String),
    Words(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    types: Vec<String>,
    constraints: Vec<String>,
}

/// What can be granted on what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Privileges {
    pub source: String,
    pub on: BTreeMap<String, Vec<String>>,
    plural: BTreeMap<String, String>,
}

/// The table of the repository.
pub fn keywords() -> Keywords {
    serde_json::from_str(include_str!("../keywords.json")).expect("keywords.json")
}

/// What a script used of the table.
pub type Used = BTreeSet<String>;

/// Every statement of a script; the first that the table does not cover is the error.
pub fn check(keywords: &Keywords, script: &str, used: &mut Used) -> Result<usize, String> {
    let all = statements(script)?;
    for tokens in &all {
        statement(keywords, tokens, used).map_err(|why| format!("{why}, in {}", show(tokens)))?;
    }
    Ok(all.len())
}

fn show(tokens: &[Token]) -> String {
    let word = |token: &Token| match token {
        Token::Word(text) | Token::Number(text) => text.clone(),
        Token::Quoted(text) => format!("{text:?}"),
        Token::Text(text) => format!("'{text}'"),
        Token::Mark(mark) => mark.to_string(),
    };
    tokens.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn statement(keywords: &Keywords, tokens: &[Token], used: &mut Used) -> Result<(), String> {
    let mut cursor = Cursor { tokens, at: 0 };
    let found = keywords.statements.iter().filter(|entry| cursor.at_words(&entry.head));
    let Some(entry) = found.max_by_key(|entry| entry.head.len()) else {
        if cursor.skip("GRANT") {
            return grant(&keywords.privileges, &mut cursor, used);
        }
        return Err("no such statement in the table".to_owned());
    };
    used.insert(entry.head.clone());
    if let Some(whole) = &entry.whole {
        return if lex(whole)? == tokens { Ok(()) } else { Err(format!("must be: {whole}")) };
    }
    cursor.skip(&entry.head);
    if let Some(count) = entry.arguments {
        return cursor.list(|token| matches!(token, Token::Text(_))).and_then(|found| {
            if found == count && cursor.done() { Ok(()) } else { Err(format!("takes {count} arguments")) }
        });
    }
    if !entry.guard.is_empty() && !entry.guard.iter().any(|guard| cursor.skip(guard)) {
        return Err(format!("cannot be run again without {}", entry.guard.join(" or ")));
    }
    if !entry.nameless {
        cursor.name()?;
    }
    rest(keywords, entry, &mut cursor, used)
}

/// What stands behind the name.
fn rest(keywords: &Keywords, entry: &Statement, cursor: &mut Cursor<'_>, used: &mut Used) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    if let Some(columns) = &entry.columns {
        columns_of(columns, cursor)?;
    }
    if !entry.then.is_empty() && !entry.then.iter().any(|then| cursor.skip(then)) {
        return Err(format!("needs {}", entry.then.join(" or ")));
    }
    if !entry.clauses.is_empty() {
        if !entry.clauses.iter().any(|clause| cursor.skip(clause)) {
            return Err(format!("needs {}", entry.clauses.join(" or ")));
        }
        cursor.name()?;
    }
    loop {
        if cursor.done() {
            break;
        }
        match entry.body.as_deref() {
            Some("AS query") if cursor.at_words("AS") => {
                cursor.skip("AS");
                if cursor.done() {
                    return Err("an empty query".to_owned());
                }
                break;
            }
            Some("SELECT query") if cursor.at_words("SELECT") => break,
            Some("AS statement") if cursor.skip("AS") => {
                statement(keywords, &cursor.tokens[cursor.at..], used)?;
                break;
            }
            Some("FROM SPECIFICATION") if cursor.skip("FROM SPECIFICATION") => {
                if !matches!(cursor.next(), Some(Token::Text(_))) || !cursor.done() {
                    return Err("a specification is one text, the last thing".to_owned());
                }
                break;
            }
            _ => {}
        }
        let name = option(entry, cursor)?;
        if !seen.insert(name.clone()) {
            return Err(format!("{name} twice"));
        }
    }
    match entry.needs.iter().find(|need| !seen.contains(*need)) {
        Some(missing) => Err(format!("needs {missing}")),
        None => Ok(()),
    }
}

fn option(entry: &Statement, cursor: &mut Cursor<'_>) -> Result<String, String> {
    let Some(Token::Word(name)) = cursor.next().cloned() else { return Err("an option was expected".to_owned()) };
    let value = entry.options.get(&name).ok_or_else(|| format!("{} has no option {name}", entry.head))?;
    if !cursor.mark('=') {
        return Err(format!("{name} without ="));
    }
    let fits = match value {
        Value::Words(words) => match cursor.next() {
            Some(Token::Word(word) | Token::Text(word)) => words.contains(word),
            _ => false,
        },
        Value::Kind(kind) => match kind.as_str() {
            "text" => matches!(cursor.next(), Some(Token::Text(_))),
            "number" => matches!(cursor.next(), Some(Token::Number(_))),
            "boolean" => matches!(cursor.next(), Some(Token::Word(word)) if word == "TRUE" || word == "FALSE"),
            "name" => cursor.name().is_ok(),
            "texts" => cursor.list(|token| matches!(token, Token::Text(_))).is_ok(),
            "names" => cursor.names().is_ok(),
            other => return Err(format!("the table says {other} of {name}, which is nothing")),
        },
    };
    if fits { Ok(name) } else { Err(format!("{name} does not take that value")) }
}

fn columns_of(columns: &Columns, cursor: &mut Cursor<'_>) -> Result<(), String> {
    if !cursor.mark('(') {
        return Err("no list of columns".to_owned());
    }
    loop {
        cursor.name()?;
        if !columns.types.is_empty() {
            match cursor.next() {
                Some(Token::Word(word)) if columns.types.contains(word) => {}
                other => return Err(format!("no type of a column: {other:?}")),
            }
        }
        while columns.constraints.iter().any(|constraint| cursor.skip(constraint)) {}
        if cursor.mark(')') {
            return Ok(());
        }
        if !cursor.mark(',') {
            return Err("a column ends with , or )".to_owned());
        }
    }
}

fn grant(privileges: &Privileges, cursor: &mut Cursor<'_>, used: &mut Used) -> Result<(), String> {
    let mut rights = vec![String::new()];
    while !cursor.at_words("ON") {
        match cursor.next() {
            Some(Token::Word(word)) => {
                let last = rights.last_mut().expect("one at least");
                *last = format!("{last} {word}").trim().to_owned();
            }
            Some(Token::Mark(',')) => rights.push(String::new()),
            other => return Err(format!("not a privilege: {other:?}")),
        }
    }
    cursor.skip("ON");
    let bulk = cursor.skip("ALL") || cursor.skip("FUTURE");
    let kind = if bulk {
        let found = privileges.plural.iter().find(|(plural, _)| cursor.at_words(plural));
        let (plural, kind) = found.ok_or("nothing that can be granted in bulk")?;
        cursor.skip(plural);
        if !cursor.skip("IN SCHEMA") {
            return Err("a bulk grant without IN SCHEMA".to_owned());
        }
        kind
    } else {
        let kind = privileges.on.keys().find(|kind| cursor.at_words(kind)).ok_or("nothing that rights can be on")?;
        cursor.skip(kind);
        kind
    };
    if kind != "ACCOUNT" {
        cursor.name()?;
    }
    if !cursor.skip("TO ROLE") {
        return Err("a grant without TO ROLE".to_owned());
    }
    cursor.name()?;
    for right in &rights {
        if !privileges.on[kind].contains(right) {
            return Err(format!("{kind} has no privilege {right:?}"));
        }
        used.insert(format!("GRANT ON {kind}"));
    }
    if cursor.done() { Ok(()) } else { Err("something stands behind the grant".to_owned()) }
}

/// A place in a statement.
struct Cursor<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn at_words(&self, words: &str) -> bool {
        let same = |(at, word): (usize, &str)| self.tokens.get(self.at + at) == Some(&Token::Word(word.to_owned()));
        words.split(' ').enumerate().all(same)
    }

    fn skip(&mut self, words: &str) -> bool {
        let there = self.at_words(words);
        if there {
            self.at += words.split(' ').count();
        }
        there
    }

    fn mark(&mut self, mark: char) -> bool {
        let there = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        self.at += usize::from(there);
        there
    }

    /// A dotted name, quoted or bare.
    fn name(&mut self) -> Result<(), String> {
        loop {
            match self.next() {
                Some(Token::Quoted(_) | Token::Word(_)) => {}
                other => return Err(format!("a name was expected, not {other:?}")),
            }
            if !self.mark('.') {
                return Ok(());
            }
        }
    }

    /// A list in brackets of what `fits`; how many there are.
    fn list(&mut self, fits: impl Fn(&Token) -> bool) -> Result<usize, String> {
        if !self.mark('(') {
            return Err("a list was expected".to_owned());
        }
        let mut count = 0;
        while !self.mark(')') {
            if count > 0 && !self.mark(',') {
                return Err("a list without ,".to_owned());
            }
            match self.next() {
                Some(token) if fits(token) => count += 1,
                other => return Err(format!("{other:?} in a list")),
            }
        }
        Ok(count)
    }

    fn names(&mut self) -> Result<(), String> {
        if !self.mark('(') {
            return Err("a list was expected".to_owned());
        }
        loop {
            self.name()?;
            if self.mark(')') {
                return Ok(());
            }
            if !self.mark(',') {
                return Err("a list without ,".to_owned());
            }
        }
    }
}
