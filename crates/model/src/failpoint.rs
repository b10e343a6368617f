//! Named points between two steps of a run, where tests stop the process. Compiled to nothing without the feature
//! `failpoints`; with it, the hook that the binary installs decides what happens.

#[cfg(feature = "failpoints")]
static HOOK: std::sync::OnceLock<fn(&'static str)> = std::sync::OnceLock::new();

/// Installs the hook that every failpoint calls. Only the first call counts.
#[cfg(feature = "failpoints")]
pub fn install(hook: fn(&'static str)) {
    let _first_wins = HOOK.set(hook);
}

/// A named point. The name is unique in the tree (a test checks it), `crate.step`.
#[inline]
pub fn hit(name: &'static str) {
    #[cfg(feature = "failpoints")]
    if let Some(hook) = HOOK.get() {
        hook(name);
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
