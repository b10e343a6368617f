//! Plain HTTP on a stand-in that speaks an API of nobody's: what is sent, what becomes of every answer, how lists are read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "http/answers.rs"]
mod answers;
#[path = "common/golden.rs"]
mod blessed;
#[path = "http/desk.rs"]
mod desk;
#[path = "common/failures.rs"]
mod failures;
#[path = "http/golden.rs"]
mod golden;
#[path = "http/lab.rs"]
mod lab;
#[path = "http/oauth.rs"]
mod oauth;
#[path = "http/reading.rs"]
mod reading;
#[path = "http/settings.rs"]
mod settings;
