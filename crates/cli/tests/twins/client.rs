//! Somebody else's client, `pyplanhat`, on the twin: what it thinks of Planhat's API is not ours.

use std::process::Command;

use super::lab::{Lab, TOKEN, quiet};

const SCRIPT: &str = r#"
import sys
from pyplanhat import PyPlanhat
from pyplanhat._sync.resources.companies import Company
from pyplanhat._sync.resources.endusers import EndUser
from pyplanhat._exceptions import APIError

with PyPlanhat() as client:
    made = client.companies.create(Company(name="Acme", external_id="A1", custom={"ARR": 12.5}))
    assert made.id and made.name == "Acme", made
    assert client.companies.get("extid-A1").id == made.id
    changed = client.companies.update(made.id, Company(name="Acme AB", phase="live"))
    assert changed.name == "Acme AB" and changed.phase == "live" and changed.custom == {"ARR": 12.5}, changed
    assert [c.name for c in client.companies.list()] == ["Acme AB"]
    user = client.endusers.create(EndUser(company_id=made.id, email="Ann@acme.com", external_id="U1"))
    assert user.id and user.email == "ann@acme.com", user
    user = client.endusers.update(user.id, EndUser(company_id=made.id, email="ann@acme.com", position="CEO"))
    assert user.position == "CEO", user
    assert [u.id for u in client.endusers.list()] == [user.id]
    assert [u.id for u in client.endusers.list(company_id=made.id)] == [user.id]
    client.endusers.delete(user.id)
    assert client.endusers.list() == []
    client.companies.delete(made.id)
    assert client.companies.list() == []
    for call in (lambda: client.companies.get(made.id), lambda: client.endusers.get("extid-U1")):
        try:
            call()
        except APIError as error:
            assert error.status_code == 404, error
        else:
            raise AssertionError("it is still there")
    try:
        PyPlanhat(api_key="wrong").companies.list()
    except APIError as error:
        assert error.status_code == 401, error
    else:
        raise AssertionError("any token is let in")
print("all of it")
"#;

#[test]
fn pyplanhat_makes_lists_changes_and_deletes() {
    let python = std::env::var("TIDEGATE_TEST_PYPLANHAT").expect(
        "TIDEGATE_TEST_PYPLANHAT is not set: run ./test, or scripts/services start DIR and source DIR/env, or export \
         TIDEGATE_TEST_PYPLANHAT=$(scripts/pyplanhat)",
    );
    let lab = Lab::new(quiet());
    let done = Command::new(python)
        .args(["-c", SCRIPT])
        .env("PLANHAT_API_BASE_URL", lab.twin.url())
        .env("PLANHAT_API_KEY", TOKEN)
        .output()
        .expect("python starts");
    let (told, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && told.contains("all of it"), "{told}\n{wrong}");
}
