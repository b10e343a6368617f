//! The tokens of connections that a person signed in to: sealed like every secret, refreshed by one process at a time.

use std::time::Duration;

use async_trait::async_trait;
use tidegate_model::Result;
use tidegate_model::secret::Secret;
use tidegate_net::oauth::Vault;

use crate::ops;
use crate::store::{Store, now, write_tx};

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

#[async_trait]
impl Vault for Store {
    async fn get(&self, name: &str) -> Result<Option<Secret>> {
        self.get_secret(name).await
    }

    async fn put(&self, name: &str, secret: &Secret) -> Result<()> {
        self.set_secret(name, secret).await
    }

    async fn claim(&self, name: &str, holder: &str, time: Duration) -> Result<bool> {
        let (name, holder, at) = (name.to_owned(), holder.to_owned(), now());
        let until = at.plus_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        write_tx!(self, |tx| ops::claims::take(tx, &name, &holder, at, until).await)
    }

    async fn release(&self, name: &str, holder: &str) -> Result<()> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        write_tx!(self, |tx| ops::claims::give_back(tx, &name, &holder).await)
    }
}
