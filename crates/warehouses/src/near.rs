//! Names that a person may have meant.

/// Names offered at most: more do not help.
const NEAR_MAX: usize = 3;

/// The known names nearest to one that is not there; a different case counts as nearest.
pub(crate) fn near<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = wanted.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 2 + name.chars().count() / 5 && *distance < lower.chars().count())
        .collect();
    found.sort_unstable();
    found.into_iter().take(NEAR_MAX).map(|(_, name)| name).collect()
}

/// "did you mean a or b?", or what to do if nothing is near.
pub(crate) fn did_you_mean(near: &[&str], otherwise: &str) -> String {
    if near.is_empty() { otherwise.to_owned() } else { format!("did you mean {}?", near.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_and_other_cases() {
        let known = ["companies", "Company", "licenses"];
        assert_eq!(near("COMPANY", known.into_iter())[0], "Company");
        assert_eq!(near("compnaies", known.into_iter())[0], "companies");
        assert!(near("zebra", known.into_iter()).is_empty());
    }
}
