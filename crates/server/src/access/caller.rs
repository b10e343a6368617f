//! Who calls.

use super::scope::Scope;

/// How a caller was told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// Not at all: nobody has to sign in, for only this machine can call.
    Local,
    /// By a token.
    Token,
    /// By a session, whose forms carry this.
    Session {
        /// What they carry.
        csrf: String,
    },
    /// Nobody yet.
    Nobody,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// A user's name, `token:NAME`, `local`, or empty.
    pub(crate) who: String,
    /// What they may do; nothing without.
    pub(crate) scope: Option<Scope>,
    /// How we know.
    pub(crate) via: Via,
}

impl Caller {
    /// Somebody of this machine, where that is enough.
    pub(crate) fn local() -> Self {
        Self { who: "local".to_owned(), scope: Some(Scope::Admin), via: Via::Local }
    }
    /// Nobody that we know.
    pub(crate) fn nobody() -> Self {
        Self { who: String::new(), scope: None, via: Via::Nobody }
    }
    /// Whether they may do what needs this.
    pub(crate) fn may(&self, needed: Scope) -> bool {
        self.scope.is_some_and(|scope| scope >= needed)
    }
    /// What the forms of their session carry; empty where there is none.
    pub(crate) fn csrf(&self) -> &str {
        match &self.via {
            Via::Session { csrf } => csrf,
            Via::Local | Via::Token | Via::Nobody => "",
        }
    }
}
