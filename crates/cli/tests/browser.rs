//! The pages of `serve` in a real browser: headless Chromium, driven over WebDriver. `scripts/services` brings both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "browser/care.rs"]
mod care;
#[path = "browser/daily.rs"]
mod daily;
#[path = "browser/driver.rs"]
mod driver;
#[path = "browser/flows.rs"]
mod flows;
#[path = "browser/identity.rs"]
mod identity;
#[path = "browser/rig.rs"]
mod rig;
#[path = "browser/sign_in.rs"]
mod sign_in;
