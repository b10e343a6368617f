//! What a call's failure is classified as, where a platform says nothing finer.

use tidegate_model::{Error, ErrorKind};
use tidegate_twins::{Fault, Knobs, Limits, Step};

/// The failures that mean the same of every platform's writes.
fn usual() -> Vec<(Fault, ErrorKind)> {
    vec![
        (Fault::Status(400), ErrorKind::BadRequest),
        (Fault::Status(401), ErrorKind::Unauthorized),
        (Fault::Status(403), ErrorKind::Unauthorized),
        (Fault::Status(404), ErrorKind::NotFound),
        (Fault::Status(422), ErrorKind::BadRequest),
        (Fault::Status(429), ErrorKind::RateLimited),
        (Fault::Status(500), ErrorKind::Lost),
        (Fault::Status(503), ErrorKind::Unavailable),
        (Fault::Lost, ErrorKind::Lost),
        (Fault::Dropped, ErrorKind::Lost),
        (Fault::Cut, ErrorKind::Lost),
    ]
}

/// Every failure of a POST below a path, those of the platform's own among them, has its kind, and no secret is in it.
/// `write` writes to a platform with these knobs, and gives the error.
pub async fn classified(path: &str, own: Vec<(Fault, ErrorKind)>, secret: &str, write: impl AsyncFn(Knobs) -> Error) {
    for (fault, kind) in usual().into_iter().chain(own) {
        let script = vec![Step::next("POST", path, fault.clone())];
        let knobs = Knobs { script, retry_after_s: Some(7), limits: Limits::Off, ..Knobs::default() };
        let error = write(knobs).await;
        assert_eq!(error.kind, kind, "{fault:?}: {error:?}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
        if fault == Fault::Status(429) {
            assert_eq!(error.retry_after.map(|wait| wait.as_secs()), Some(7));
        }
    }
}
