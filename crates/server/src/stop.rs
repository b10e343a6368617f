//! How a process is asked to end.

use tidegate_model::error::ErrorKind;
use tidegate_model::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Listens for SIGTERM and SIGINT from the moment it is called; the future ends with the first of them, as the exit
/// code that stands for it (143 or 130).
pub fn stop_signal() -> Result<impl Future<Output = u8> + Send> {
    let listen = |kind| {
        signal(kind).map_err(|error| Error::new(ErrorKind::Unavailable, "cannot listen for signals").cause(error))
    };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    })
}
