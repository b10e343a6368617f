//! The contract of platforms, run against every connector: what its abilities promise is held to, whatever its models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

mod common;
#[path = "http/desk.rs"]
mod desk;
#[path = "http/lab.rs"]
mod lab;
#[path = "contract/subjects.rs"]
mod subjects;

mod hub {
    tidegate_testkit::platform_contract!(crate::subjects::hub());
}

mod planhat {
    tidegate_testkit::platform_contract!(crate::subjects::planhat());
}

mod batch {
    tidegate_testkit::platform_contract!(crate::subjects::batch());
}

/// A record by its key, as a whole.
mod http_by_key {
    tidegate_testkit::platform_contract!(crate::subjects::http(crate::lab::by_key()));
}

/// A record by the service's own id, read back.
mod http_by_id {
    tidegate_testkit::platform_contract!(crate::subjects::http_read());
}

/// A record by a plain POST, of which a second one makes a double.
mod http_unkeyed {
    tidegate_testkit::platform_contract!(crate::subjects::http_unkeyed());
}

/// Many in a request.
mod http_bulk {
    tidegate_testkit::platform_contract!(crate::subjects::http(crate::lab::bulk(&serde_json::json!({}))));
}
