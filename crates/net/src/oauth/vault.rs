//! Where tokens are kept between runs, and who may refresh them now.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tidegate_model::Result;
use tidegate_model::secret::Secret;

/// Keeps secrets for all processes of a project, encrypted, and lets one of them at a time do a thing.
#[async_trait]
pub trait Vault: Debug + Send + Sync {
    /// What is kept under a name.
    async fn get(&self, name: &str) -> Result<Option<Secret>>;
    /// Keeps it, in place of what was there.
    async fn put(&self, name: &str, secret: &Secret) -> Result<()>;
    /// Takes the right to do what is named, for at most this time; false while another holder has it.
    async fn claim(&self, name: &str, holder: &str, time: Duration) -> Result<bool>;
    /// Gives it back; nothing happens if another has it by now.
    async fn release(&self, name: &str, holder: &str) -> Result<()>;
}

/// A vault that ends with the process: for tests, and for whoever opens a connection without a project.
#[derive(Debug, Default)]
pub struct InMemory {
    secrets: Mutex<HashMap<String, Secret>>,
    claims: Mutex<HashMap<String, (String, Instant)>>,
}

/// A vault of this process alone.
pub fn in_memory() -> Arc<dyn Vault> {
    Arc::new(InMemory::default())
}

#[async_trait]
impl Vault for InMemory {
    async fn get(&self, name: &str) -> Result<Option<Secret>> {
        Ok(self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    async fn put(&self, name: &str, secret: &Secret) -> Result<()> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), secret.clone());
        Ok(())
    }

    async fn claim(&self, name: &str, holder: &str, time: Duration) -> Result<bool> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = claims.get(name).is_some_and(|(other, until)| other != holder && *until > Instant::now());
        if !taken {
            claims.insert(name.to_owned(), (holder.to_owned(), Instant::now() + time));
        }
        Ok(!taken)
    }

    async fn release(&self, name: &str, holder: &str) -> Result<()> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.get(name).is_some_and(|(other, _)| other == holder) {
            claims.remove(name);
        }
        Ok(())
    }
}
