//! What somebody may do.

use std::fmt;

/// What a call needs, and what a caller has; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Look at everything but secrets.
    Read,
    /// Start and stop runs, decide conflicts, turn switches.
    Run,
    /// Change files of the project and secrets.
    Edit,
    /// Manage users and tokens. No token has it: a token that leaked must not make others.
    Admin,
}

impl Scope {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Run => "run",
            Scope::Edit => "edit",
            Scope::Admin => "admin",
        }
    }
    /// A scope that a token may have.
    pub fn of_token(word: &str) -> Option<Self> {
        [Scope::Read, Scope::Run, Scope::Edit].into_iter().find(|scope| scope.as_str() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Looks and runs.
    Operator,
    /// Does everything.
    Admin,
}

impl Role {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
    /// The reverse of [`Role::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Role::Viewer, Role::Operator, Role::Admin].into_iter().find(|role| role.as_str() == word)
    }
    /// What they may do.
    pub fn scope(self) -> Scope {
        match self {
            Role::Viewer => Scope::Read,
            Role::Operator => Scope::Run,
            Role::Admin => Scope::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_those_before() {
        assert!(Scope::Admin > Scope::Edit && Scope::Edit > Scope::Run && Scope::Run > Scope::Read);
        assert_eq!(Scope::of_token("admin"), None);
        assert_eq!(Role::parse("operator").map(Role::scope), Some(Scope::Run));
        assert_eq!(Role::parse("root"), None);
    }
}
