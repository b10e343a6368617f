//! The way to the account: through a proxy, with authorities of one's own, and kept open.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_model::ErrorKind;
use tidegate_net::http::Http;
use tidegate_net::roots::Roots;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::logins::openssl;
use super::stand_in::StandIn;
use super::{SHORT, context, one, password, until};
use crate::snowflake::server::look;
use crate::snowflake::wire::{Context, Line, Patience, Session};

/// The context of a server under another address and another client.
fn reached(server: &StandIn, base: &str, http: Http) -> Arc<Context> {
    let mut context = context(server, password());
    let line = Line::new(http.client().expect("a client"), base, SHORT).expect("a line");
    Arc::get_mut(&mut context).expect("ours alone").line = line;
    context
}

#[tokio::test]
async fn a_proxy_is_taken_where_one_is_named() {
    let server = StandIn::start().await;
    server.account().password = "right".into();
    server.script("select 1", one("1"));
    // The account's own name leads nowhere: only the proxy, which here answers itself, can have been asked.
    let proxy = Http { proxy: Some(format!("http://127.0.0.1:{}", server.port)), ..Http::default() };
    let session = Session::login(&reached(&server, "http://acme.invalid", proxy)).await.expect("a session");
    assert_eq!(look(&session, "select 1", &[], "look").await.expect("an answer").one(), Some("1"));
    let direct = Http { connect_timeout: Duration::from_secs(2), ..Http::default() };
    let error = Session::login(&reached(&server, "http://acme.invalid", direct)).await.err().expect("nobody there");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.hint.is_some_and(|hint| hint.contains("proxy")));
}

/// An authority, and a server's certificate by it, made by openssl.
fn certificates(dir: &Path) {
    let subject = |name: &str| format!("/CN={name}");
    openssl(
        dir,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "2",
            "-subj",
            &subject("An authority"),
        ],
    );
    openssl(
        dir,
        &[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
            "-subj",
            &subject("localhost"),
        ],
    );
    std::fs::write(dir.join("names"), "subjectAltName = DNS:localhost\n").expect("written");
    let sign = [
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ];
    openssl(dir, &sign);
}

/// A server behind TLS that lets everybody in; its port.
async fn behind_tls(dir: &Path) -> u16 {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ServerConfig, crypto::ring::default_provider};
    let chain = vec![CertificateDer::from_pem_file(dir.join("server.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).expect("a key");
    let config =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.expect("TLS").with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = [0; 16_384];
            if stream.read(&mut asked).await.is_err() {
                continue;
            }
            let body = json!({ "success": true, "data": { "token": "t", "masterToken": "m" } }).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _told = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _closed = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_only_where_it_is_named() {
    let (server, dir) = (StandIn::start().await, tempfile::tempdir().expect("a folder"));
    certificates(dir.path());
    let base = format!("https://localhost:{}", behind_tls(dir.path()).await);
    let named = Http { roots: Roots::File(dir.path().join("ca.pem")), ..Http::default() };
    assert!(Session::login(&reached(&server, &base, named)).await.is_ok());
    let error = Session::login(&reached(&server, &base, Http::default())).await.err().expect("not trusted");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.hint.is_some_and(|hint| hint.contains("SSL_CERT_FILE")));
}

#[tokio::test]
async fn a_session_that_idles_is_told_alive_and_renewed() {
    let server = StandIn::start().await;
    server.account().password = "right".into();
    let mut context = context(&server, password());
    let patience = Patience { beat_max: Duration::from_millis(20), ..SHORT };
    let http = Http::default().client().expect("a client");
    let line = Line::new(http, &format!("http://127.0.0.1:{}", server.port), patience).expect("a line");
    Arc::get_mut(&mut context).expect("ours alone").line = line;
    let session = Session::login(&context).await.expect("a session");
    until("heartbeats", || server.calls("/session/heartbeat").len() >= 2).await;
    server.expire_sessions();
    until("a renewal by the heartbeat", || server.calls("/session/token-request").len() == 1).await;
    drop(session);
    until("the end of the session", || !server.calls("/session").is_empty()).await;
    let beats = server.calls("/session/heartbeat").len();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(server.calls("/session/heartbeat").len() <= beats + 1, "a session that has ended is told alive");
}
