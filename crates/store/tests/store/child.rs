//! Children of the tests: this test program again, running one of its tests.

use std::process::Command;

/// Says to a test that it is a child, and of what state.
pub const URL: &str = "TIDEGATE_STORE_TEST_CHILD";

/// Arguments that run one test of this program, with its output shown.
pub fn arguments(test: &str) -> Vec<String> {
    [test, "--exact", "--nocapture", "--test-threads=1"].map(str::to_owned).to_vec()
}

pub fn this_program() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

pub fn command(test: &str, url: &str) -> Command {
    let mut command = Command::new(this_program());
    command.args(arguments(test)).env(URL, url);
    command
}
