//! One message per change of a sync's state, to a real receiver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::Bench;
use super::server::{PATIENCE, Server};

/// Takes what is posted; the first one is refused, as by a receiver that just restarts.
fn receiver() -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).expect("a line") > 2 {
                if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().expect("a number");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let code = if number == 0 { "503 Later" } else { "200 OK" };
            stream
                .write_all(format!("HTTP/1.1 {code}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
                .expect("sent");
            if number > 0 && tell.send(serde_json::from_slice(&body).expect("JSON")).is_err() {
                return;
            }
        }
    });
    (port, told)
}

#[test]
fn a_sync_that_starts_to_fail_is_told_once_and_its_recovery_once() {
    let (port, told) = receiver();
    let bench = Bench::with_companies();
    let config = |targets: &str| {
        format!("version: 1\nname: bench\nalerts: {{ webhook: \"http://127.0.0.1:{port}/hook\" }}\n{targets}")
    };
    bench.write("tidegate.yaml", &config(""));
    bench.run(&["serve", "--listen", "127.0.0.1:0"]).expect(2).says(&["inside this network", "private_targets"]);
    bench.write("tidegate.yaml", &config("serve: { private_targets: [\"127.0.0.1\"] }\n"));
    let server = Server::serve(&bench);
    let run = |before: usize| {
        server.post("/api/v1/syncs/companies/run", &json!({})).expect(200);
        server.run_ended("companies", before)
    };
    assert_eq!(run(0)["status"], "succeeded");
    bench.lake("ALTER TABLE companies RENAME COLUMN name TO title");
    // A mapping that no longer fits stops before anything is read: it is a run all the same, and says why.
    let refused = run(1);
    assert_eq!((&refused["status"], &refused["sent"]), (&json!("failed"), &json!(0)), "{refused}");
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("name")), "{refused}");
    assert_eq!(server.get("/api/v1/syncs/companies").expect(200).json()["health"], "failing");
    let message = told.recv_timeout(PATIENCE).expect("a message");
    assert_eq!((&message["sync"], &message["state"]), (&json!("companies"), &json!("failing")), "{message}");
    assert!(message["text"].as_str().is_some_and(|text| text.contains("companies started failing")), "{message}");
    assert_eq!(message["run"], refused["run"]);
    assert_eq!(run(2)["status"], "failed");
    // Told once: the next message is that of the recovery.
    bench.lake("ALTER TABLE companies RENAME COLUMN title TO name");
    assert_eq!(run(3)["status"], "succeeded");
    let message = told.recv_timeout(PATIENCE).expect("a message");
    assert_eq!(message["state"], "recovered", "one message per change: {message}");
    assert_eq!(run(4)["status"], "succeeded");
    assert!(told.recv_timeout(Duration::from_secs(1)).is_err());
}
