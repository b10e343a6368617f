//! Every way to log in, with what the account knows and with what it does not. The account checks them itself.

use serde_json::{Value as Json, json};
use tidegate_model::schema::Source;
use tidegate_model::{ErrorKind, Result};
use tidegate_testkit::warehouse_suite::Lab;

use crate::lab::{Emulated, openssl};

/// A private key, as text, and what an administrator gives the user: its public half without the first and last line.
fn key_pair() -> (String, String) {
    let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"");
    let public = String::from_utf8(openssl(&["pkey", "-pubout"], &private)).unwrap();
    let public = public.lines().filter(|line| !line.starts_with("-----")).collect();
    (String::from_utf8(private).unwrap(), public)
}

fn encrypted(key: &str) -> String {
    let arguments = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:open sesame"];
    String::from_utf8(openssl(&arguments, key.as_bytes())).unwrap()
}

async fn count(lab: &Emulated, user: &str, auth: Json) -> Result<u64> {
    let warehouse = lab.try_open(false, json!({ "user": user, "auth": auth }))?;
    warehouse.count(&Source::Relation(lab.relation("t"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_account_knows_gets_in_and_nothing_else() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (\"k\" VARCHAR); INSERT INTO \"t\" VALUES ('a')").await;
    let ((key, public), (other, _)) = (key_pair(), key_pair());
    lab.run(&format!("CREATE USER SYNC TYPE = SERVICE RSA_PUBLIC_KEY = '{public}' PASSWORD = 'sesame'")).await;
    for token in ["'pat', 'pat-1'", "'oauth', 'access-1'"] {
        lab.run(&format!("CALL STAND_IN$TOKEN({token})")).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        std::fs::write(dir.path().join(name), token).unwrap();
        json!({ "method": "spcs", "token_file": dir.path().join(name) })
    };
    let pair = |key: &str| json!({ "method": "key_pair", "private_key": key });
    let sealed = |word: &str| json!({ "method": "key_pair", "private_key": encrypted(&key), "passphrase": word });
    let token = |kind: &str, token: &str| json!({ "method": "token", "kind": kind, "token": token });
    let password = |password: &str| json!({ "method": "password", "password": password });
    let good = [
        ("SYNC", pair(&key)),
        ("sync", sealed("open sesame")),
        ("SYNC", password("sesame")),
        ("SYNC", token("pat", "pat-1")),
        ("SYNC", token("oauth", "access-1")),
        ("", file("good", "access-1\n")),
    ];
    for (user, auth) in good {
        let method = auth["method"].clone();
        assert_eq!(count(&lab, user, auth).await.unwrap_or_else(|error| panic!("{method}: {error:?}")), 1);
    }
    let bad = [
        ("SYNC", pair(&other), "RSA_PUBLIC_KEY_FP"),
        ("NOBODY", pair(&key), "RSA_PUBLIC_KEY_FP"),
        ("SYNC", password("Sesame"), "password"),
        ("NOBODY", password("sesame"), "password"),
        ("SYNC", token("pat", "access-1"), "network policy"),
        ("SYNC", token("oauth", "pat-1"), "expired"),
        ("", file("bad", "another"), "token"),
    ];
    for (user, auth, says) in bad {
        let shown = auth.to_string();
        let error = count(&lab, user, auth).await.expect_err(&shown);
        assert_eq!(error.kind, ErrorKind::Unauthorized, "{shown}: {error:?}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(says), "{shown}: {error:?}");
        let told = format!("{error:?}");
        assert!(!["sesame", "Sesame", "pat-1", "access-1"].iter().any(|secret| told.contains(secret)), "{told}");
    }
    assert_eq!(
        count(&lab, "SYNC", sealed("open says me")).await.expect_err("a wrong passphrase").kind,
        ErrorKind::Config
    );
}

/// A key is replaced and a token revoked while nobody looks: the next login is refused, and the new key gets in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_and_tokens_revoked() {
    let lab = Emulated::new().await;
    lab.exec("CREATE TABLE \"LAB\".\"PUBLIC\".\"t\" (\"k\" VARCHAR)").await;
    let ((old, public), (new, second)) = (key_pair(), key_pair());
    let pair = |key: &str| json!({ "method": "key_pair", "private_key": key });
    lab.run(&format!("CREATE USER SYNC RSA_PUBLIC_KEY = '{public}'")).await;
    lab.run(&format!("ALTER USER SYNC SET RSA_PUBLIC_KEY_2 = '{second}'")).await;
    assert!(count(&lab, "SYNC", pair(&old)).await.is_ok() && count(&lab, "SYNC", pair(&new)).await.is_ok());
    lab.run(&format!("ALTER USER SYNC SET RSA_PUBLIC_KEY = '{second}'")).await;
    assert_eq!(count(&lab, "SYNC", pair(&old)).await.expect_err("an old key").kind, ErrorKind::Unauthorized);
    assert!(count(&lab, "SYNC", pair(&new)).await.is_ok());
    let token = json!({ "method": "token", "kind": "pat", "token": "pat-1" });
    lab.run("CALL STAND_IN$TOKEN('pat', 'pat-1')").await;
    assert!(count(&lab, "", token.clone()).await.is_ok());
    lab.run("CALL STAND_IN$REVOKE('pat', 'pat-1')").await;
    assert_eq!(count(&lab, "", token).await.expect_err("revoked").kind, ErrorKind::Unauthorized);
}
