//! Which process this is, and whether another one of this machine is gone. Linux tells enough for it; where a system
//! does not, nothing is concluded, and leases run out by themselves.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use tidegate_model::ports::ProcessId;

/// This process.
pub fn own() -> Option<ProcessId> {
    let pid = i32::try_from(std::process::id()).ok()?;
    Some(ProcessId { host: host()?, boot: line("/proc/sys/kernel/random/boot_id")?, pid, started: started(pid)? })
}

/// The machine, with the set of processes that this one sees: in another container a number means another process.
fn host() -> Option<String> {
    let machine = line("/etc/machine-id").or_else(|| line("/proc/sys/kernel/hostname"))?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{machine} {}", numbers.display()))
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// When a process started, in ticks since the boot.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, so what follows is counted from its closing bracket: the first after it is field 3,
    // the start is field 22.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

/// Whether a process is surely gone. A process that cannot be looked into counts as alive, and so does one of another
/// machine or container.
pub fn is_gone(process: &ProcessId) -> bool {
    let Some(own) = own() else { return false };
    if (&own.host, &own.boot) != (&process.host, &process.boot) {
        return false;
    }
    let Some(pid) = Pid::from_raw(process.pid) else { return false };
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return true;
    }
    // Its number was given to another process since.
    started(process.pid).is_some_and(|started| started != process.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(program: &str, argument: &str) -> (std::process::Child, ProcessId) {
        let child = std::process::Command::new(program).arg(argument).spawn().expect("a child");
        let pid = i32::try_from(child.id()).expect("a number");
        let started = started(pid).expect("a start");
        (child, ProcessId { pid, started, ..own().expect("this process") })
    }

    #[test]
    fn a_process_is_gone_once_it_ended_and_was_reaped() {
        let (mut child, process) = child("sleep", "60");
        assert!(!is_gone(&process));
        child.kill().expect("killed");
        child.wait().expect("ended");
        assert!(is_gone(&process));
    }

    #[test]
    fn a_number_that_was_given_away_again_is_another_process() {
        let own = own().expect("this process");
        assert!(!is_gone(&own));
        assert!(is_gone(&ProcessId { started: own.started + 1, ..own }));
    }

    #[test]
    fn nothing_is_concluded_of_another_machine_container_or_boot() {
        let (mut child, ended) = child("true", "");
        child.wait().expect("ended");
        assert!(is_gone(&ended));
        assert!(!is_gone(&ProcessId { host: "elsewhere".to_owned(), ..ended.clone() }));
        assert!(!is_gone(&ProcessId { boot: "another".to_owned(), ..ended }));
    }
}
