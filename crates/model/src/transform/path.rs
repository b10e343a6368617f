//! Paths into JSON documents: `a.b[0]`, `["key with. dots"]`.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array, from 0.
    Index(usize),
}

/// Reads a path. A leading `$` or `$.` is left away.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let wrong = || format!("`{text}` is not a path; write keys and positions as in `address.lines[0]`");
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    let mut steps = Vec::new();
    let mut first = true;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let end = quoted.find("\"]").ok_or_else(wrong)?;
            steps.push(Step::Key(quoted[..end].to_owned()));
            rest = &quoted[end + 2..];
        } else if let Some(inside) = rest.strip_prefix('[') {
            let end = inside.find(']').ok_or_else(wrong)?;
            steps.push(Step::Index(inside[..end].parse().map_err(|_| wrong())?));
            rest = &inside[end + 1..];
        } else {
            let key = match rest.strip_prefix('.') {
                Some(key) => key,
                None if first => rest,
                None => return Err(wrong()),
            };
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end == 0 {
                return Err(wrong());
            }
            steps.push(Step::Key(key[..end].to_owned()));
            rest = &key[end..];
        }
        first = false;
    }
    if steps.is_empty() { Err(wrong()) } else { Ok(steps) }
}
