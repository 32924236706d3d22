"""The activity log: who changed what, and who may read it."""

from auditlog.models import LogEntry

from governance.models import User
from governance.selectors.activity import activity_list
from governance.services.members import membership_set_roles
from governance.services.users import user_update
from governance.services.workspaces import workspace_update
from tests.factories.governance import OTHER_PASSWORD, Cast, make_user


def test_activity_names_who_changed_what(cast: Cast) -> None:
    LogEntry.objects.all().delete()
    actor = cast.narrowed("admin")
    workspace_update(actor, workspace=cast.acme, title="The Acme")
    entry = LogEntry.objects.get(content_type__model="workspace")
    assert entry.changes_dict == {"title": ["", "The Acme"]}
    assert entry.additional_data == {
        "workspace": str(cast.acme.pk),
        "by": "admin",
        "by_id": str(cast.users["admin"].pk),
        "token": str(actor.token_id),
    }
    token_issued = LogEntry.objects.get(content_type__model="apitoken")
    assert "digest" not in token_issued.changes_dict


def test_activity_of_roles_and_passwords(cast: Cast) -> None:
    LogEntry.objects.all().delete()
    membership_set_roles(cast.actor("admin"), membership=cast.members["viewer"], roles=["operator"])
    changes = [entry.changes_dict["roles"] for entry in LogEntry.objects.order_by("pk")]
    assert [(change["operation"], change["objects"]) for change in changes] == [
        ("delete", ["viewer"]),
        ("add", ["operator"]),
    ]
    LogEntry.objects.all().delete()
    user_update(cast.actor("root"), user=cast.users["viewer"], password=OTHER_PASSWORD)
    entry = LogEntry.objects.get()
    stored = User.objects.get(username="viewer").password
    assert stored not in str(entry.changes_dict)
    assert set(entry.changes_dict) == {"password"}


def test_activity_is_scoped(cast: Cast) -> None:
    workspace_update(cast.actor("outsider"), workspace=cast.other, title="Other")
    workspace_update(cast.actor("admin"), workspace=cast.acme, title="Acme")
    make_user("somebody")
    seen = {
        name: {
            (entry.additional_data or {}).get("workspace")
            for entry in activity_list(cast.actor(name))
        }
        for name in ("auditor", "outsider", "viewer", "nobody")
    }
    assert seen == {
        "auditor": {str(cast.acme.pk)},
        "outsider": {str(cast.other.pk)},
        "viewer": set(),
        "nobody": set(),
    }
    assert None in {
        (entry.additional_data or {}).get("workspace")
        for entry in activity_list(cast.actor("root"))
    }
