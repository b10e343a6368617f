//! Passwords: argon2id, with the parameters that OWASP recommends as a minimum (19 MiB, two passes).

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use tidegate_model::secret::Secret;
use tidegate_model::{Error, Result};
use tokio::sync::Semaphore;

/// Shorter ones are guessed; NIST's own minimum where there is no second factor is 15, most would not take that.
const PASSWORD_CHARS_MIN: usize = 12;
/// Longer ones are no safer, and hashing them costs us.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Passwords that are checked at once: each takes 19 MiB, and a flood of sign-ins must not take the machine.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Hashes a new password; refuses one that is too short or too long.
pub fn hash_password(password: &Secret) -> Result<String> {
    let text = password.expose();
    if text.chars().count() < PASSWORD_CHARS_MIN || text.len() > PASSWORD_BYTES_MAX {
        return Err(Error::config(format!("a password has {PASSWORD_CHARS_MIN} characters or more"))
            .hint("take four or five words that do not belong together"));
    }
    hash(text)
}

fn hash(text: &str) -> Result<String> {
    let hashed = Argon2::default().hash_password(text.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| Error::internal("a password cannot be hashed").cause(error))
}

/// A hash that no password has: checked for users that are not there, so that both take the same time.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash("there is nobody of this name here").ok());

/// Whether a password is the one of this hash; without one it never is, and takes as long.
pub(crate) async fn is_password(password: &Secret, hashed: Option<&str>) -> Result<bool> {
    let text = password.expose().to_owned();
    if text.len() > PASSWORD_BYTES_MAX {
        return Ok(false);
    }
    let known = hashed.is_some();
    let hashed = hashed.map(str::to_owned);
    let turn = AT_ONCE.acquire().await.map_err(|error| Error::internal("no password can be checked").cause(error))?;
    let matches = tokio::task::spawn_blocking(move || {
        let hashed = hashed.or_else(|| NOBODY.clone()).unwrap_or_default();
        let Ok(parsed) = PasswordHash::new(&hashed) else { return false };
        Argon2::default().verify_password(text.as_bytes(), &parsed).is_ok()
    });
    let matches = matches.await.map_err(|error| Error::internal("checking a password panicked").cause(error))?;
    drop(turn);
    Ok(matches && known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let secret = |text: &str| Secret::new(text);
        let hashed = hash_password(&secret("correct horse battery")).expect("hashed");
        assert!(hashed.starts_with("$argon2id$"), "{hashed}");
        assert!(is_password(&secret("correct horse battery"), Some(&hashed)).await.expect("checked"));
        assert!(!is_password(&secret("correct horse batterz"), Some(&hashed)).await.expect("checked"));
        assert!(!is_password(&secret("there is nobody of this name here"), None).await.expect("checked"));
        assert!(!is_password(&secret(&"x".repeat(2_000)), Some(&hashed)).await.expect("checked"));
        assert!(hash_password(&secret("short")).is_err());
    }
}
