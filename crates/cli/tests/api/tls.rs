//! `serve.tls`: the certificate of a project, and one that is renewed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::bench::Bench;
use super::server::Server;

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.expect("this test needs the openssl program to make certificates");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for `localhost` that signs itself, in the project's folder.
fn certificate(bench: &Bench, name: &str) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        bench.root(),
        &format!(
            "req -x509 {new} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name} -addext subjectAltName=DNS:localhost"
        ),
    );
}

/// Asks over TLS, trusting one certificate; what was answered, with its head.
fn asked(server: &Server, bench: &Bench, trusted: &str, path: &str) -> Result<String, String> {
    let port = server.address.rsplit_once(':').expect("a port").1;
    let out = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "20", "--cacert"])
        .arg(bench.path(trusted))
        .arg(format!("https://localhost:{port}{path}"))
        .output()
        .expect("this test needs curl");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

#[test]
fn serve_speaks_tls_and_takes_up_a_renewed_certificate() {
    let bench = Bench::with_companies();
    certificate(&bench, "one");
    certificate(&bench, "two");
    let copy = |name: &str| {
        std::fs::copy(bench.path(&format!("{name}.key")), bench.path("now.key")).expect("copied");
        std::fs::copy(bench.path(&format!("{name}.pem")), bench.path("now.pem")).expect("copied");
    };
    copy("one");
    bench.write(
        "tidegate.yaml",
        "version: 1\nname: bench\nserve: { tls: { cert: now.pem, key: now.key }, public_url: \"https://localhost\" }\n",
    );
    let server = Server::serve(&bench);
    let answer = asked(&server, &bench, "one.pem", "/api/v1/project").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"name\":\"bench\""), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("strict-transport-security:"), "{answer}");
    asked(&server, &bench, "two.pem", "/healthz").expect_err("another authority");
    // Who speaks no TLS gets nothing, and is in nobody's way; nor is who says nothing at all.
    let silent = TcpStream::connect(&server.address).expect("it listens");
    let mut plain = TcpStream::connect(&server.address).expect("it listens");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut told = Vec::new();
    // The line may be cut off while it is read.
    let _cut = plain.read_to_end(&mut told);
    assert!(!told.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&told));
    // Another certificate in the same files, as those who renew them do it.
    std::thread::sleep(std::time::Duration::from_millis(20));
    copy("two");
    server.until("the new certificate", |server| asked(server, &bench, "two.pem", "/healthz").ok());
    asked(&server, &bench, "one.pem", "/healthz").expect_err("the old one is gone");
    // One that is broken leaves the last good one.
    std::fs::write(bench.path("now.pem"), "no certificate").expect("written");
    std::thread::sleep(std::time::Duration::from_secs(6));
    asked(&server, &bench, "two.pem", "/healthz").expect("what was read before");
    drop(silent);
    assert_eq!(server.stop(), Some(143));
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_is_served() {
    let bench = Bench::with_companies();
    certificate(&bench, "one");
    certificate(&bench, "two");
    let serve = |tls: &str| {
        bench.write("tidegate.yaml", &format!("version: 1\nname: bench\nserve: {{ tls: {tls} }}\n"));
        bench.run(&["serve", "--listen", "127.0.0.1:0"]).expect(2)
    };
    serve("{ cert: nowhere.pem, key: one.key }").says(&["serve.tls", "nowhere.pem"]);
    serve("{ cert: one.pem, key: one.pem }").says(&["serve.tls", "no private key"]);
    serve("{ cert: one.pem, key: two.key }").says(&["serve.tls", "one.pem"]);
    serve("{ cert: one.pem }").says(&["key"]);
}
