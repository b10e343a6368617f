//! Who may sign in, the tokens of the API, the browsers that are signed in, and the audit log.

use tidegate_model::error::{Error, Result};
use tidegate_model::time::Instant;

use crate::ops;
use crate::seal::random;
use crate::store::{Store, read_tx, write_tx};

/// A person who signs in with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
    /// Argon2id in its own text form.
    pub password: String,
    /// When they were added.
    pub created_at: Instant,
}

/// A token of the API; what it says is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// `read`, `run` or `edit`.
    pub scope: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Instant,
    /// Until when it holds; `None`: until it is removed.
    pub expires_at: Option<Instant>,
    /// When it was used last, to the minute.
    pub used_at: Option<Instant>,
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub who: String,
    /// As what.
    pub role: String,
    /// What its forms have to carry.
    pub csrf: String,
    /// Whether `who` is a user of this state; else an identity provider's.
    pub local: bool,
    /// When it began.
    pub created_at: Instant,
    /// When it ends.
    pub expires_at: Instant,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Its number; 0 before it is kept.
    pub id: i64,
    /// When.
    pub at: Instant,
    /// A user, `token:NAME`, or `local`.
    pub who: String,
    /// What was done: the name of the call.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// More of it (JSON); no secret and no value of a record.
    pub detail: String,
    /// `done`, or the code of the error.
    pub outcome: String,
}

/// 32 random bytes, for tokens and sessions.
pub fn random_bytes() -> Result<[u8; 32]> {
    random::<32>()
}

/// Names of users and tokens stand in logs and addresses.
fn check_name(what: &str, name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.@+".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(good) {
        return Err(Error::config(format!("a {what}'s name has 1 to 128 letters, digits, _, -, ., @ or +"))
            .hint("choose another name, such as ada or ci-deploy"));
    }
    Ok(())
}

/// How long somebody has to wait after so many failed tries, the last one then; `None`: not at all.
pub type Wait = fn(failed: u32, last: Instant, now: Instant) -> Option<i64>;

/// After this long without a try everything is forgotten.
const FORGET_TRIES_MS: i64 = 60 * 60_000;

impl Store {
    /// Counts a try to sign in, by whatever it is counted by (hashes of a name, of an address), unless one of these has
    /// to wait: then for how many milliseconds. A try counts before it is known to fail, so that many at once count too,
    /// in whichever processes.
    pub async fn try_sign_in(&self, by: &[Vec<u8>], now: Instant, wait: Wait) -> Result<Option<i64>> {
        // Always in the same order: two that count by the same wait for each other, and not in a ring.
        let mut by = by.to_vec();
        by.sort();
        let forget = now.plus_millis(-FORGET_TRIES_MS);
        write_tx!(self, |tx| ops::tries::count(tx, &by, now, forget, wait).await)
    }
    /// Forgets failed tries: somebody signed in.
    pub async fn forget_tries(&self, by: &[Vec<u8>]) -> Result<()> {
        let by = by.to_vec();
        write_tx!(self, |tx| ops::tries::forget(tx, &by).await)
    }

    /// Adds a user, or changes role and password of one; their sessions end.
    pub async fn put_user(&self, user: &User) -> Result<()> {
        check_name("user", &user.name)?;
        let user = user.clone();
        write_tx!(self, |tx| ops::accounts::put_user(tx, &user).await)
    }
    /// A user by name.
    pub async fn user(&self, name: &str) -> Result<Option<User>> {
        let name = name.to_owned();
        read_tx!(self, |tx| ops::accounts::user(tx, &name).await)
    }
    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>> {
        read_tx!(self, |tx| ops::accounts::users(tx).await)
    }
    /// Removes a user and ends their sessions; false if there is none of this name.
    pub async fn remove_user(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        write_tx!(self, |tx| ops::accounts::remove_user(tx, &name).await)
    }

    /// Keeps a token's hash; false if there is one of this name.
    pub async fn add_token(&self, token: &Token, hash: &[u8]) -> Result<bool> {
        check_name("token", &token.name)?;
        let (token, hash) = (token.clone(), hash.to_vec());
        write_tx!(self, |tx| ops::accounts::add_token(tx, &token, &hash).await)
    }
    /// All tokens, by name.
    pub async fn tokens(&self) -> Result<Vec<Token>> {
        read_tx!(self, |tx| ops::accounts::tokens(tx).await)
    }
    /// A token by its hash, if it holds at this time; notes its use, to the minute.
    pub async fn token_of(&self, hash: &[u8], now: Instant) -> Result<Option<Token>> {
        let hash = hash.to_vec();
        let asked = hash.clone();
        let token = read_tx!(self, |tx| ops::accounts::token(tx, &asked).await)?;
        let token = token.filter(|token| token.expires_at.is_none_or(|end| now < end));
        if token.as_ref().is_some_and(|t| t.used_at.is_none_or(|used| now.millis_since(used) >= 60_000)) {
            write_tx!(self, |tx| ops::accounts::used(tx, &hash, now).await)?;
        }
        Ok(token)
    }
    /// Removes a token; false if there is none of this name.
    pub async fn remove_token(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        write_tx!(self, |tx| ops::accounts::remove_token(tx, &name).await)
    }

    /// Keeps a session; those that have ended go.
    pub async fn add_session(&self, session: &Session, hash: &[u8]) -> Result<()> {
        let (session, hash) = (session.clone(), hash.to_vec());
        write_tx!(self, |tx| ops::accounts::add_session(tx, &session, &hash).await)
    }
    /// A session by its hash, if it holds at this time.
    pub async fn session_of(&self, hash: &[u8], now: Instant) -> Result<Option<Session>> {
        let hash = hash.to_vec();
        let session = read_tx!(self, |tx| ops::accounts::session(tx, &hash).await)?;
        Ok(session.filter(|session| now < session.expires_at))
    }
    /// Ends a session.
    pub async fn end_session(&self, hash: &[u8]) -> Result<()> {
        let hash = hash.to_vec();
        write_tx!(self, |tx| ops::accounts::end_session(tx, &hash).await)
    }

    /// Adds a line to the audit log.
    pub async fn audit(&self, line: &Audit) -> Result<()> {
        let line = line.clone();
        write_tx!(self, |tx| ops::accounts::audit(tx, &line).await)
    }
    /// Lines of the audit log before a number, newest first.
    pub async fn audit_lines(&self, before: Option<i64>, limit: u32) -> Result<Vec<Audit>> {
        read_tx!(self, |tx| ops::accounts::audit_lines(tx, before, limit).await)
    }
}
