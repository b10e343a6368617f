//! SQL cut into words, as far as the checker needs it.

/// A piece of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A bare word, in upper case.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes or between `$$`.
    Text(String),
    /// A whole number.
    Number(String),
    /// A mark.
    Mark(char),
}

/// The tokens of a script.
pub fn lex(sql: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = sql.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        match c {
            c if c.is_whitespace() => at += 1,
            '-' if chars.get(at + 1) == Some(&'-') => {
                at += chars[at..].iter().take_while(|c| **c != '\n').count();
            }
            '$' if chars.get(at + 1) == Some(&'$') => {
                let rest: String = chars[at + 2..].iter().collect();
                let end = rest.find("$$").ok_or("`$$` is not closed")?;
                tokens.push(Token::Text(rest[..end].to_owned()));
                at += 4 + rest[..end].chars().count();
            }
            '"' | '\'' => {
                let (text, next) = closed(&chars, at)?;
                tokens.push(if c == '"' { Token::Quoted(text) } else { Token::Text(text) });
                at = next;
            }
            c if c.is_ascii_digit() => {
                let text: String = chars[at..].iter().take_while(|c| c.is_ascii_digit()).collect();
                at += text.len();
                tokens.push(Token::Number(text));
            }
            c if word(c) => {
                let text: String = chars[at..].iter().take_while(|c| word(**c)).collect();
                at += text.len();
                tokens.push(Token::Word(text.to_uppercase()));
            }
            c => {
                tokens.push(Token::Mark(c));
                at += 1;
            }
        }
    }
    Ok(tokens)
}

/// A quoted text from its opening quote, and where it ends. Backslashes are escapes in single quotes only.
fn closed(chars: &[char], from: usize) -> Result<(String, usize), String> {
    let quote = chars[from];
    let mut text = String::new();
    let mut at = from + 1;
    while let Some(&c) = chars.get(at) {
        match c {
            '\\' if quote == '\'' => {
                text.extend(chars.get(at + 1));
                at += 2;
            }
            c if c == quote && chars.get(at + 1) == Some(&quote) => {
                text.push(c);
                at += 2;
            }
            c if c == quote => return Ok((text, at + 1)),
            c => {
                text.push(c);
                at += 1;
            }
        }
    }
    Err(format!("{quote} is not closed"))
}

/// The statements of a script: its tokens between semicolons.
pub fn statements(script: &str) -> Result<Vec<Vec<Token>>, String> {
    let tokens = lex(script)?;
    let each = tokens.split(|token| *token == Token::Mark(';'));
    Ok(each.filter(|tokens| !tokens.is_empty()).map(<[Token]>::to_vec).collect())
}
