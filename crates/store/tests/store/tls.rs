//! Encrypted lines: sslmode means what libpq means by it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tidegate_model::ErrorKind;
use tidegate_model::ports::Memory;
use tidegate_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::base::*;

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.expect("this test needs the openssl program to make certificates");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, another one, and a certificate that the first signed for the host `localhost` only.
fn certificates(folder: &Path) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for name in ["ca", "stranger"] {
        openssl(folder, &format!("req -x509 {new} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"));
    }
    openssl(folder, &format!("req {new} -keyout server.key -out server.csr -subj /CN=localhost"));
    std::fs::write(folder.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem",
    );
}

/// Speaks TLS in front of the Postgres of the tests; returns its port.
async fn tls_in_front(folder: &Path) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = postgres_url().rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                plain.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "it asks for TLS first");
                plain.write_all(b"S").await.unwrap();
                // A client that does not trust us hangs up here.
                let Ok(mut encrypted) = acceptor.accept(plain).await else { return };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ended = copy_bidirectional(&mut encrypted, &mut server).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn postgres_is_trusted_as_far_as_sslmode_says() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let port = tls_in_front(folder.path()).await;
    let place = Place::postgres();
    let (login, rest) = place.url.split_once('@').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    let pem = |name: &str| folder.path().join(name).display().to_string();
    for (host, query, good) in [
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={}", pem("ca.pem")), true),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={}", pem("ca.pem")), true),
        ("localhost", format!("sslmode=verify-full&sslrootcert={}", pem("ca.pem")), true),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={}", pem("ca.pem")), false),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={}", pem("stranger.pem")), false),
        ("localhost", format!("sslmode=verify-full&sslrootcert={}", pem("stranger.pem")), false),
        ("localhost", format!("sslmode=verify-full&sslrootcert={}", pem("ca.key")), false),
        ("localhost", "sslmode=verify-full".to_owned(), false),
    ] {
        let url = format!("{login}@{host}:{port}/{database}?{query}");
        match Store::open(&url, &place.options).await {
            Ok(store) => {
                assert!(good, "{host} {query} was trusted");
                store.store_id().await.unwrap();
            }
            Err(error) => {
                assert!(!good, "{host} {query}: {error:?}");
                assert_eq!(error.kind, ErrorKind::Config, "{host} {query}: {error:?}");
                assert!(error.hint.is_some());
            }
        }
    }
    place.drop_schema().await;
}
