"""The REST resources of governance, over HTTP as the site serves them."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from rest_framework.test import APIClient

from core import clock
from governance import access
from governance.contracts import Perm
from governance.models import ApiToken, IdempotencyRecord, Membership, Role, User, Workspace
from governance.services.tokens import token_revoke
from tests.factories.governance import PASSWORD, Cast
from tests.integration.governance.conftest import Caller

pytestmark = [pytest.mark.urls("tests.integration.governance.urls"), pytest.mark.django_db]

PROBLEM = "application/problem+json"


def _problem(response: Any, status: int, code: str) -> Any:
    document = json.loads(response.content)
    assert (response.status_code, document["code"]) == (status, code), document
    assert response["Content-Type"] == PROBLEM
    assert document["status"] == status
    assert document["type"].endswith(f"#{code}")
    return document


def test_me_says_what_may_be_done_where(cast: Cast, call_as: Any) -> None:
    answer = call_as("viewer")("get", "me")
    assert answer.status_code == 200
    assert answer.json()["user"] == {
        "id": str(cast.users["viewer"].pk), "username": "viewer", "is_superuser": False,
    }  # fmt: skip
    assert answer.json()["workspaces"] == [
        {
            "id": str(cast.acme.pk),
            "name": "acme",
            "title": "",
            "permissions": sorted(access.permissions_of(cast.actor("viewer"), cast.acme)),
        }
    ]
    assert call_as("nobody")("get", "me").json()["workspaces"] == []
    narrow = call_as("viewer", scopes=["run.view"])("get", "me").json()
    assert narrow["token"]["scopes"] == ["run.view"]
    assert narrow["workspaces"][0]["permissions"] == ["run.view"]
    assert call_as("root")("get", "me").json()["user"]["is_superuser"] is True


def test_a_token_of_one_workspace_is_told_that_it_sees_no_other(cast: Cast) -> None:
    bound = Caller(cast.token("root", workspace=cast.acme))
    other = _problem(bound("get", f"workspaces/{cast.other.name}"), 404, "not_found")
    missing = _problem(bound("get", "workspaces/nowhere"), 404, "not_found")

    assert "Your token is bound to one workspace" in other["remedy"]
    assert (other["detail"], other["remedy"]) == (missing["detail"], missing["remedy"])
    outsider = _problem(Caller(cast.token("viewer"))("get", "workspaces/nowhere"), 404, "not_found")
    assert outsider["remedy"] == "Check its name, or ask one of its admins to add you."


def test_me_says_which_token_asks_and_shows_no_secret(cast: Cast) -> None:
    ends_at = clock.now() + timedelta(hours=1)
    secret = cast.token("viewer", workspace=cast.acme, expires_at=ends_at)
    stored = cast.stored(secret)

    answer = Caller(secret)("get", "me")

    told = answer.json()["token"]
    assert datetime.fromisoformat(told.pop("expires_at")) == stored.expires_at
    assert told == {
        "id": str(stored.pk), "name": stored.name, "prefix": stored.prefix, "scopes": None,
        "workspace": "acme",
    }  # fmt: skip
    assert secret not in answer.content.decode()


def test_every_kind_of_bad_credential_is_told_apart(cast: Cast) -> None:
    expired = cast.token("viewer", expires_at=clock.now() + timedelta(seconds=5))
    revoked = cast.token("viewer")
    token_revoke(cast.actor("viewer"), token=cast.stored(revoked))

    missing = _problem(Caller()("get", "me"), 401, "not_authenticated")
    assert "Bearer" in missing["remedy"]
    assert Caller()("get", "me")["WWW-Authenticate"] == 'Bearer realm="agentry"'
    with clock.shifted(timedelta(seconds=6)):
        answer = Caller(expired)("get", "me")
    _problem(answer, 401, "token_expired")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert "expired" in answer["WWW-Authenticate"]
    _problem(Caller(revoked)("get", "me"), 401, "token_revoked")
    _problem(Caller("agk_nonsense")("get", "me"), 401, "token_invalid")
    basic = APIClient().get("/api/v1/me", headers={"Authorization": "Basic dTpw"})
    _problem(basic, 401, "token_invalid")


def test_a_session_signs_in_and_needs_the_csrf_token_to_change(cast: Cast) -> None:
    client = APIClient(enforce_csrf_checks=True)
    assert client.login(username="admin", password=PASSWORD)
    me = client.get("/api/v1/me").json()
    assert (me["user"]["username"], me["token"]) == ("admin", None)
    answer = client.patch("/api/v1/workspaces/acme", {"title": "x"}, format="json")
    _problem(answer, 403, "permission_denied")
    assert Workspace.objects.get(name="acme").title == ""

    User.objects.filter(username="admin").update(is_service=True)
    _problem(client.get("/api/v1/me"), 401, "not_authenticated")


def test_lists_hold_what_is_visible_and_the_rest_is_missing(cast: Cast, call_as: Any) -> None:
    viewer = call_as("viewer")
    assert [item["name"] for item in viewer("get", "workspaces").json()["items"]] == ["acme"]
    assert viewer("get", "workspaces/acme").json()["id"] == str(cast.acme.pk)
    for path in (
        "workspaces/other",
        f"workspaces/{cast.other.pk}",
        "workspaces/no-such",
        "workspaces/other/members",
        "workspaces/other/roles",
        f"workspaces/acme/members/{cast.members['outsider'].pk}",
        f"workspaces/other/members/{cast.members['outsider'].pk}",
        f"tokens/{cast.stored(cast.token('admin')).pk}",
    ):
        _problem(viewer("get", path), 404, "not_found")
    for path in ("workspaces/%00", "workspaces/a b", "nothing/here"):
        assert viewer("get", path).status_code == 404


def test_what_is_visible_but_not_allowed_is_denied_by_name(cast: Cast, call_as: Any) -> None:
    viewer = call_as("viewer")
    member = cast.members["operator"].pk
    for method, path, body in (
        ("patch", "workspaces/acme", {"title": "x"}),
        ("post", "workspaces/acme/members", {"username": "nobody", "roles": []}),
        ("patch", f"workspaces/acme/members/{member}", {"roles": []}),
        ("delete", f"workspaces/acme/members/{member}", None),
        ("post", "workspaces/acme/roles", {"name": "x", "permissions": []}),
    ):
        document = _problem(viewer(method, path, body), 403, "permission_denied")
        assert "workspace.manage" in document["detail"], (method, path)
    assert Workspace.objects.get(name="acme").title == ""
    assert Membership.objects.filter(workspace=cast.acme).count() == 7
    _problem(viewer("post", "workspaces", {"name": "mine"}), 403, "permission_denied")
    _problem(viewer("get", "users"), 403, "permission_denied")
    assert viewer("get", "activity").json()["items"] == []


def test_members_and_roles_through_their_whole_life(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    role = admin("post", "workspaces/acme/roles", {"name": "starter", "permissions": ["run.start"]})
    assert role.status_code == 201
    assert role.json()["is_builtin"] is False
    added = admin("post", "workspaces/acme/members", {"username": "nobody", "roles": ["starter"]})
    assert added.status_code == 201
    assert (added.json()["username"], added.json()["roles"]) == ("nobody", ["starter"])
    assert access.permissions_of(cast.actor("nobody"), cast.acme) == {Perm.RUN_START}

    address = f"workspaces/acme/members/{added.json()['id']}"
    assert admin("get", address).headers["ETag"] == added.headers["ETag"]
    changed = admin("patch", address, {"roles": ["viewer"]})
    assert changed.json()["roles"] == ["viewer"]
    role_address = f"workspaces/acme/roles/{role.json()['id']}"
    renamed = admin("patch", role_address, {"name": "controller"})
    assert renamed.json()["name"] == "controller"
    assert admin("delete", role_address).status_code == 204
    assert admin("delete", address).status_code == 204
    assert access.permissions_of(cast.actor("nobody"), cast.acme) == frozenset()

    built_in = Role.objects.get(name="viewer").pk
    _problem(admin("delete", f"workspaces/acme/roles/{built_in}"), 403, "permission_denied")
    last = cast.members["admin"].pk
    _problem(admin("delete", f"workspaces/acme/members/{last}"), 409, "last_admin")
    refused = admin("post", "workspaces/acme/members", {"username": "root", "roles": ["king"]})
    assert _problem(refused, 400, "invalid_input")["errors"]["roles"]


def test_tokens_through_their_whole_life(cast: Cast, call_as: Any) -> None:
    viewer = call_as("viewer")
    issued = viewer(
        "post", "tokens", {"name": "ci", "workspace": "acme", "scopes": ["run.view", "run.view"]}
    )
    assert issued.status_code == 201, issued.content
    assert issued["Cache-Control"] == "no-store"
    body = issued.json()
    assert (body["workspace"], body["scopes"]) == ("acme", ["run.view"])
    use = Caller(body["secret"])
    assert use("get", "me").json()["user"]["username"] == "viewer"
    assert "secret" not in viewer("get", f"tokens/{body['id']}").json()
    assert "secret" not in viewer("get", "tokens").json()["items"][0]

    assert viewer("delete", f"tokens/{body['id']}").status_code == 204
    access.clear_credentials()
    _problem(use("get", "me"), 401, "token_revoked")
    keyed = viewer("post", "tokens", {"name": "x"}, **{"Idempotency-Key": "k"})
    _problem(keyed, 400, "invalid_input")
    wider = viewer("post", "tokens", {"name": "x", "scopes": ["agent.edit"]})
    _problem(wider, 403, "escalation")
    assert ApiToken.objects.filter(name="x").count() == 0


def test_users_and_workspaces_are_a_superusers(cast: Cast, call_as: Any) -> None:
    root = call_as("root")
    created = root("post", "users", {"username": "new", "password": "a long unusual phrase"})
    assert created.status_code == 201
    assert "password" not in created.json()
    address = f"users/{created.json()['id']}"
    assert root("patch", address, {"is_active": False}).json()["is_active"] is False
    assert root("post", "workspaces", {"name": "third"}).status_code == 201
    assert root("post", "workspaces", {"name": "third"}).status_code == 409
    weak = root("post", "users", {"username": "weak", "password": "123"})
    assert _problem(weak, 400, "invalid_input")["errors"]["password"]
    actions = {entry["kind"] for entry in root("get", "activity").json()["items"]}
    assert {"user", "workspace", "membership"} <= actions


def test_activity_is_shown_to_auditors(cast: Cast, call_as: Any) -> None:
    call_as("admin")("patch", "workspaces/acme", {"title": "The Acme"})
    entry = LogEntry.objects.get(content_type__model="workspace", action=LogEntry.Action.UPDATE)
    assert entry.actor == cast.users["admin"]
    newest = call_as("auditor")("get", "activity").json()["items"][0]
    # The token issued for the auditor is outside of any workspace, so the change is the newest.
    assert (newest["kind"], newest["by"], newest["action"]) == ("workspace", "admin", "update")
    assert newest["changes"] == {"title": ["", "The Acme"]}
    assert newest["workspace_id"] == str(cast.acme.pk)


def test_bad_input_names_its_place_and_changes_nothing(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    unknown = admin("patch", "workspaces/acme", {"titel": "x", "id": "1"})
    errors = _problem(unknown, 400, "invalid_input")["errors"]
    assert errors["titel"] == ["Unknown field. Did you mean 'title'?"]
    assert set(errors) == {"titel", "id"}
    wrong: list[Any] = [
        [], "text", {"name": 5}, {"name": "UPPER"}, {"name": None}, {"title": {}},
    ]  # fmt: skip
    for body in wrong:
        _problem(admin("patch", "workspaces/acme", body), 400, "invalid_input")
    client = admin.client
    for raw, word in (
        (b"{", "line 1"),
        (b'{"title": "\xff"}', "UTF-8"),
        (b'{"title": NaN}', "NaN"),
        (b'{"title": "a", "title": "b"}', "twice"),
        (b'{"title": "\\u0000"}', "NUL"),
        (b'{"title": "\\ud800"}', "surrogate"),
        (b"[" * 5000, "nested"),
    ):
        answer = client.patch("/api/v1/workspaces/acme", data=raw, content_type="application/json")
        assert word in _problem(answer, 400, "invalid_input")["detail"]
    text = client.patch("/api/v1/workspaces/acme", data=b"x", content_type="text/plain")
    media = _problem(text, 415, "unsupported_media_type")
    assert "`Content-Type: application/json`" in media["remedy"]
    big = client.patch(
        "/api/v1/workspaces/acme", data=b" " * 3_000_000, content_type="application/json"
    )
    _problem(big, 413, "payload_too_large")
    assert Workspace.objects.get(name="acme").title == ""


def test_methods_and_parameters_that_do_not_exist_are_refused(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    _problem(admin("put", "workspaces/acme", {}), 405, "method_not_allowed")
    _problem(admin("delete", "workspaces/acme"), 405, "method_not_allowed")
    _problem(admin("options", "workspaces"), 405, "method_not_allowed")
    typo = _problem(admin("get", "workspaces?limitt=3"), 400, "invalid_input")
    assert typo["errors"]["limitt"] == ["Unknown query parameter. Did you mean 'limit'?"]
    _problem(admin("get", "workspaces/acme?limit=3"), 400, "invalid_input")


def test_pages_follow_one_another_without_gap_or_repeat(cast: Cast, call_as: Any) -> None:
    root = call_as("root")
    for number in range(5):
        Workspace.objects.create(name=f"w{number}")
    first = root("get", "workspaces?limit=3").json()
    assert [item["name"] for item in first["items"]] == ["w4", "w3", "w2"]
    Workspace.objects.create(name="w5")
    second = root.client.get(first["next"]).json()
    third = root("get", f"workspaces?limit=3&cursor={second['next_cursor']}").json()
    assert [item["name"] for item in second["items"]] == ["w1", "w0", "other"]
    assert [item["name"] for item in third["items"]] == ["acme"]
    assert third["next"] is None
    assert third["next_cursor"] is None
    activity = root("get", "activity?limit=1").json()
    assert root.client.get(activity["next"]).status_code == 200
    for cursor in ("x", "", "%00", activity["next_cursor"], "MXxwa3w", "MXwtcGt8bm9wZQ", "9" * 500):
        _problem(root("get", f"workspaces?cursor={cursor}"), 400, "invalid_input")
    for limit in ("0", "201", "-1", "x", "", "1e2", "٣"):
        _problem(root("get", f"workspaces?limit={limit}"), 400, "invalid_input")


def test_entity_tags_guard_changes_and_spare_reads(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    tag = admin("get", "workspaces/acme").headers["ETag"]
    unchanged = admin("get", "workspaces/acme", **{"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    changed = admin("patch", "workspaces/acme", {"title": "one"}, **{"If-Match": tag})
    assert changed.status_code == 200
    stale = admin("patch", "workspaces/acme", {"title": "two"}, **{"If-Match": tag})
    _problem(stale, 412, "precondition_failed")
    assert Workspace.objects.get(name="acme").title == "one"
    newest = changed.headers["ETag"]
    assert (
        admin("patch", "workspaces/acme", {"title": "three"}, **{"If-Match": newest}).json()[
            "title"
        ]
        == "three"
    )
    assert admin("get", "workspaces/acme", **{"If-None-Match": tag}).status_code == 200


def test_the_same_key_gives_the_same_answer_once(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    body = {"name": "starter", "permissions": ["run.start"]}
    key = {"Idempotency-Key": "a-1"}
    first = admin("post", "workspaces/acme/roles", body, **key)
    again = admin("post", "workspaces/acme/roles", body, **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert Role.objects.filter(name="starter").count() == 1

    other_body = admin("post", "workspaces/acme/roles", {**body, "name": "b"}, **key)
    _problem(other_body, 409, "idempotency_key_reused")
    other_path = admin("post", "workspaces/acme/members", body, **key)
    _problem(other_path, 409, "idempotency_key_reused")
    assert not Role.objects.filter(name="b").exists()

    somebody_else = call_as("admin")("post", "workspaces/acme/roles", {**body, "name": "c"}, **key)
    assert somebody_else.status_code == 201
    with clock.shifted(timedelta(hours=25)):
        later = admin("post", "workspaces/acme/roles", {**body, "name": "d"}, **key)
    assert later.status_code == 201
    for bad in ("", "x" * 256, "ü"):
        answer = admin("post", "workspaces/acme/roles", body, **{"Idempotency-Key": bad})
        _problem(answer, 400, "invalid_input")


def test_a_failed_request_frees_its_key(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    key = {"Idempotency-Key": "a-2"}
    path = "workspaces/acme/members"
    body = {"username": "late", "roles": ["viewer"]}
    _problem(admin("post", path, body, **key), 404, "not_found")
    assert not IdempotencyRecord.objects.exists()
    User.objects.create_user(username="late", password=PASSWORD)
    assert admin("post", path, body, **key).status_code == 201


def test_a_request_in_flight_is_refused_and_taken_over_when_old(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    body = {"name": "starter", "permissions": []}
    key = {"Idempotency-Key": "a-3"}
    admin("post", "workspaces/acme/roles", body, **key)
    Role.objects.filter(name="starter").delete()
    # As a process leaves it that died between its claim and its commit.
    IdempotencyRecord.objects.update(status=None, body="", claimed_at=clock.now())

    waiting = admin("post", "workspaces/acme/roles", body, **key)
    _problem(waiting, 409, "idempotency_key_in_flight")
    assert 1 <= int(waiting.headers["Retry-After"]) <= 60
    assert not Role.objects.filter(name="starter").exists()

    with clock.shifted(timedelta(seconds=61)):
        taken = admin("post", "workspaces/acme/roles", body, **key)
    assert taken.status_code == 201
    assert Role.objects.filter(name="starter").count() == 1


def test_deleting_twice_with_one_key_is_answered_twice(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    address = f"workspaces/acme/members/{cast.members['viewer'].pk}"
    key = {"Idempotency-Key": "a-4"}
    assert admin("delete", address, **key).status_code == 204
    again = admin("delete", address, **key)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (204, "true")
    _problem(admin("delete", address), 404, "not_found")


def test_an_unexpected_failure_tells_only_its_id(
    cast: Cast, call_as: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("governance.api.views.workspace_update", explode)
    answer = call_as("admin")("patch", "workspaces/acme", {"title": "x"})
    document = _problem(answer, 500, "internal_error")
    assert "secret detail" not in answer.content.decode()
    assert len(document["error_id"]) == 36
