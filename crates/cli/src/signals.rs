//! SIGINT and SIGTERM: the first asks for a clean end, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tidegate_model::error::{Error, ErrorKind, Result};
use tidegate_model::ports::Cancel;
use tokio::signal::unix::{SignalKind, signal};

use crate::out::say;

/// How long a run may take to finish or drop the batch in hand; what is open then is resumed by the next run.
const GRACE: Duration = Duration::from_millis(9_000);

/// Listens for the rest of the process's life.
#[derive(Debug, Clone)]
pub struct Signals {
    /// Set by the first signal.
    pub cancel: Cancel,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Starts to listen. Needs the async runtime.
    pub fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::new(ErrorKind::Unavailable, "cannot listen for signals").cause(error))
        };
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let signals = Self { cancel: Cancel::default(), code: Arc::new(AtomicU8::new(0)) };
        let (cancel, code) = (signals.cancel.clone(), signals.code.clone());
        tokio::spawn(async move {
            loop {
                let said: u8 = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                if code.swap(said, Ordering::SeqCst) != 0 {
                    std::process::exit(i32::from(said));
                }
                cancel.cancel();
                say(
                    "stopping at the next safe point; once more to stop at once (the next run then goes on from there)",
                );
                tokio::spawn(async move {
                    tokio::time::sleep(GRACE).await;
                    say("the batch in hand takes too long: stopped, the next run goes on from there");
                    std::process::exit(i32::from(said));
                });
            }
        });
        Ok(signals)
    }

    /// The exit code of the signal that came, if one did.
    pub fn exit_code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != 0)
    }
}
