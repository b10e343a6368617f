//! The names of the fields that the changes of a call have: found once for a call, so that nothing is looked up by its name
//! for every value.

use tidegate_model::change::Change;

/// The place of a name among others. Changes have their fields in the same order, so that it mostly is the one after the
/// last that was found: `from`.
pub(crate) fn place<'n>(count: usize, from: usize, name: impl Fn(usize) -> &'n str, wanted: &str) -> Option<usize> {
    (from..count).chain(0..from.min(count)).find(|at| name(*at) == wanted)
}

/// The names of the fields that changes have, each once.
pub(crate) fn names<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for change in changes {
        let mut next = 0;
        for (name, _) in change.fields.iter() {
            let found = place(names.len(), next, |at| names[at], name);
            next = 1 + found.unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use tidegate_model::change::Action;
    use tidegate_model::record::Key;
    use tidegate_model::value::Value;

    use super::*;

    #[test]
    fn each_name_is_found_once_whatever_the_order() {
        let change = |fields: &[&str]| Change {
            key: Key::new("k"),
            remote: None,
            action: Action::Update,
            fields: fields.iter().map(|name| ((*name).into(), Value::Null)).collect(),
            expect: None,
        };
        let changes = [change(&["a", "b"]), change(&[]), change(&["b", "c", "a"]), change(&["d", "c"])];
        let names = names(changes.iter());
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(place(names.len(), 3, |at| names[at], "b"), Some(1), "it is looked for before, too");
        assert_eq!(place(names.len(), 9, |at| names[at], "e"), None);
    }
}
