//! The hub's own ids: 24 hexadecimal digits, the hub's salt and then the number under which the record was created.
//! They order by creation, and one hub does not take the ids of another.

/// Makes and reads ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    salt: u32,
}

impl Ids {
    /// With the hub's salt.
    pub fn new(salt: u32) -> Self {
        Self { salt }
    }
    /// The id of a number.
    pub fn text(&self, number: i64) -> String {
        format!("{:08x}{number:016x}", self.salt)
    }
    /// The number of an id of this hub.
    pub fn parse(&self, text: &str) -> Option<i64> {
        if text.len() != 24 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return None;
        }
        let (salt, number) = text.split_at(8);
        (u32::from_str_radix(salt, 16) == Ok(self.salt)).then(|| i64::from_str_radix(number, 16).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_by_their_own_hub_only() {
        let ids = Ids::new(0xdead_beef);
        assert_eq!(ids.text(255), "deadbeef00000000000000ff");
        assert_eq!(ids.parse(&ids.text(255)), Some(255));
        assert_eq!(Ids::new(1).parse(&ids.text(255)), None);
        assert_eq!(ids.parse("DEADBEEF00000000000000ff"), None);
    }
}
