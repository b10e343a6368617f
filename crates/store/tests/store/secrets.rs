//! Secrets: encrypted, bound to their key, rotated.

use std::os::unix::fs::PermissionsExt;

use tidegate_model::ErrorKind;
use tidegate_model::secret::Secret;
use tidegate_net::oauth::Vault;
use tidegate_store::{Store, new_key};

use crate::base::*;

on_both!(
    secrets_come_back,
    secrets_are_never_stored_in_clear,
    a_wrong_key_is_told,
    keys_are_rotated,
    bad_keys_and_names_are_refused,
    one_at_a_time_may_refresh
);

const CLEAR: &str = "hunter2-in-the-clear";

async fn with_key(place: &Place, key: &Secret) -> Store {
    let mut options = place.options.clone();
    options.key = Some(key.clone());
    Store::open(&place.url, &options).await.unwrap()
}

async fn secrets_come_back(place: &Place) {
    let store = with_key(place, &new_key().unwrap()).await;
    assert!(store.get_secret("crm").await.unwrap().is_none());
    store.set_secret("crm", &Secret::new("old")).await.unwrap();
    store.set_secret("crm", &Secret::new(CLEAR)).await.unwrap();
    store.set_secret("empty", &Secret::new("")).await.unwrap();
    assert_eq!(store.get_secret("crm").await.unwrap().unwrap().expose(), CLEAR);
    assert_eq!(store.get_secret("empty").await.unwrap().unwrap().expose(), "");
    let listed = store.list_secrets().await.unwrap();
    assert_eq!(listed.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["crm", "empty"]);
    assert!(listed[0].updated_at > at(1_700_000_000) && listed[0].key_id.len() == 16);
    assert!(store.remove_secret("crm").await.unwrap());
    assert!(!store.remove_secret("crm").await.unwrap());
    assert!(store.get_secret("crm").await.unwrap().is_none());
}

async fn secrets_are_never_stored_in_clear(place: &Place) {
    let key = new_key().unwrap();
    let store = with_key(place, &key).await;
    store.set_secret("crm_in_the_list", &Secret::new(CLEAR)).await.unwrap();
    assert!(place.holds("crm_in_the_list").await, "the search finds what is there");
    assert!(!place.holds(CLEAR).await);
    assert!(!place.holds(key.expose()).await);
}

async fn a_wrong_key_is_told(place: &Place) {
    let store = with_key(place, &new_key().unwrap()).await;
    store.set_secret("crm", &Secret::new(CLEAR)).await.unwrap();
    let right = store.list_secrets().await.unwrap()[0].key_id.clone();
    let other = with_key(place, &new_key().unwrap()).await;
    let error = other.get_secret("crm").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains(&right) && error.hint.unwrap().contains("TIDEGATE_KEY"), "{}", error.message);
    assert_eq!(other.rotate_secrets(&new_key().unwrap()).await.unwrap_err().kind, ErrorKind::Unauthorized);
    assert_eq!(store.get_secret("crm").await.unwrap().unwrap().expose(), CLEAR, "nothing was changed");
}

async fn keys_are_rotated(place: &Place) {
    let (old, new) = (new_key().unwrap(), new_key().unwrap());
    let store = with_key(place, &old).await;
    for name in ["a", "b", "c"] {
        store.set_secret(name, &Secret::new(format!("secret of {name}"))).await.unwrap();
    }
    let before = store.list_secrets().await.unwrap();
    assert_eq!(store.rotate_secrets(&new).await.unwrap(), 3);
    let after = store.list_secrets().await.unwrap();
    assert!(after.iter().zip(&before).all(|(after, before)| after.key_id != before.key_id));
    assert_eq!(store.get_secret("b").await.unwrap().unwrap().expose(), "secret of b", "it knows the new key");
    store.set_secret("d", &Secret::new("later")).await.unwrap();
    let again = with_key(place, &new).await;
    for name in ["a", "d"] {
        assert!(again.get_secret(name).await.unwrap().is_some());
    }
    assert_eq!(with_key(place, &old).await.get_secret("a").await.unwrap_err().kind, ErrorKind::Unauthorized);
    assert_eq!(again.rotate_secrets(&new).await.unwrap(), 0);
}

async fn bad_keys_and_names_are_refused(place: &Place) {
    let mut options = place.options.clone();
    options.key = Some(Secret::new("too short"));
    let error = Store::open(&place.url, &options).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(!format!("{error:?}").contains("too short"));
    let store = with_key(place, &new_key().unwrap()).await;
    for name in ["", "a b", "a/b", "ü"] {
        assert_eq!(store.set_secret(name, &Secret::new("x")).await.unwrap_err().kind, ErrorKind::Config);
    }
}

async fn one_at_a_time_may_refresh(place: &Place) {
    let key = new_key().unwrap();
    let (one, other) = (with_key(place, &key).await, with_key(place, &key).await);
    let long = std::time::Duration::from_secs(60);
    let (first, second) = tokio::join!(one.claim("refresh.lake", "a", long), other.claim("refresh.lake", "b", long));
    assert!(first.unwrap() != second.unwrap(), "both or none got it");
    let (holder, loser) = if one.claim("refresh.lake", "a", long).await.unwrap() { ("a", "b") } else { ("b", "a") };
    assert!(one.claim("refresh.hub", loser, long).await.unwrap(), "another name is another right");
    one.release("refresh.lake", loser).await.unwrap();
    assert!(!one.claim("refresh.lake", loser, long).await.unwrap(), "given back by somebody else");
    one.release("refresh.lake", holder).await.unwrap();
    assert!(other.claim("refresh.lake", loser, std::time::Duration::ZERO).await.unwrap());
    assert!(one.claim("refresh.lake", holder, long).await.unwrap(), "a right that has ended is held for good");
    one.put("oauth.lake", &Secret::new(CLEAR)).await.unwrap();
    assert_eq!(other.get("oauth.lake").await.unwrap().unwrap().expose(), CLEAR);
    assert!(!place.holds(CLEAR).await);
}

#[tokio::test]
async fn postgres_needs_a_key() {
    let place = Place::postgres();
    let store = place.open().await;
    assert!(store.get_secret("crm").await.unwrap().is_none(), "nothing to open, so no key is asked for");
    let error = store.set_secret("crm", &Secret::new(CLEAR)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains("TIDEGATE_KEY"));
    with_key(&place, &new_key().unwrap()).await.set_secret("crm", &Secret::new(CLEAR)).await.unwrap();
    assert_eq!(store.get_secret("crm").await.unwrap_err().kind, ErrorKind::Unauthorized);
    place.drop_schema().await;
}

#[tokio::test]
async fn sqlite_makes_its_key_beside_the_state() {
    let place = Place::sqlite();
    let key_file = place.file().with_extension("db.key");
    let store = place.open().await;
    assert!(!key_file.exists(), "made when the first secret is stored");
    store.set_secret("crm", &Secret::new(CLEAR)).await.unwrap();
    assert_eq!(std::fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = place.open().await;
    assert_eq!(again.get_secret("crm").await.unwrap().unwrap().expose(), CLEAR);

    // Rotation replaces the file.
    let old = std::fs::read_to_string(&key_file).unwrap();
    let new = new_key().unwrap();
    assert_eq!(store.rotate_secrets(&new).await.unwrap(), 1);
    assert_eq!(std::fs::read_to_string(&key_file).unwrap(), new.expose());
    assert_eq!(again.get_secret("crm").await.unwrap().unwrap().expose(), CLEAR, "another process follows");

    // A crash after the secrets were sealed anew and before the file took its place.
    std::fs::rename(&key_file, key_file.with_extension("key.next")).unwrap();
    std::fs::write(&key_file, old).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.open().await.get_secret("crm").await.unwrap().unwrap().expose(), CLEAR);
    assert_eq!(std::fs::read_to_string(&key_file).unwrap(), new.expose());

    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = place.open().await.get_secret("crm").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.hint.unwrap().contains("chmod 600"));
    std::fs::remove_file(&key_file).unwrap();
    let error = place.open().await.get_secret("crm").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains("is missing"), "{error}");
}
