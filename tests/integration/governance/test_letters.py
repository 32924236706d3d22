"""Letters on their way: who was taken out in the meantime is not written to."""

from collections.abc import Iterator
from typing import Any

import pytest

from core import clock
from governance.contracts import SYSTEM, ChannelEvent
from governance.execution.delivering import deliveries_send
from governance.models import Channel, Delivery, Membership, User, Workspace
from governance.selectors.channels import SEEING
from governance.services.deliveries import delivery_redeliver
from governance.services.members import member_remove, membership_set_roles
from tests.factories.governance import join, make_workspace
from tests.wire.smtp_server import SmtpServer

pytestmark = pytest.mark.django_db

PERSON = "vic@acme.example"
NOT_SENT = "may not see"


@pytest.fixture
def acme() -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def vic(acme: Workspace) -> User:
    user = join(acme, "vic", "viewer").user
    User.objects.filter(pk=user.pk).update(email=PERSON)
    return user


@pytest.fixture
def mail(settings: Any) -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        settings.IS_MAIL_CONFIGURED = True
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


def letter(acme: Workspace, event: str, recipient: str = PERSON, **channel: Any) -> Delivery:
    """A message that is written down, to a channel made for it."""
    made = Channel.objects.create(
        workspace=acme, name="post", kind="email", events=[event], **channel
    )
    return Delivery.objects.create(
        workspace=acme,
        channel=made,
        event=event,
        event_key=f"{event}:1",
        recipient=recipient,
        payload={"workspace": "acme", "title": "Something"},
        due_at=clock.now(),
    )


def outcome(row: Delivery) -> tuple[str, str]:
    row.refresh_from_db()
    return row.state, row.last_error


def leave(user: User) -> None:
    member_remove(SYSTEM, membership=Membership.objects.get(user=user))


def be_barred(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def move_house(user: User) -> None:
    User.objects.filter(pk=user.pk).update(email="vic@elsewhere.example")


def lose_the_role(user: User) -> None:
    membership_set_roles(SYSTEM, membership=Membership.objects.get(user=user), roles=[])


@pytest.mark.parametrize("event", [str(event) for event in SEEING])
def test_a_letter_reaches_who_may_see_what_it_tells(
    acme: Workspace, vic: User, mail: SmtpServer, event: str
) -> None:
    row = letter(acme, event)

    assert deliveries_send() == 1
    assert outcome(row) == ("delivered", "")
    assert [to for to, _ in mail.letters] == [PERSON]


@pytest.mark.parametrize("what", [leave, be_barred, move_house, lose_the_role])
@pytest.mark.parametrize("is_own", [False, True])
def test_who_may_not_see_it_any_more_is_not_written_to(
    acme: Workspace, vic: User, mail: SmtpServer, what: Any, is_own: bool
) -> None:
    own: dict[str, Any] = {"owner": vic} if is_own else {}
    row = letter(acme, "budget.warning", **own)
    what(vic)

    assert deliveries_send() == 1
    state, error = outcome(row)
    assert (state, NOT_SENT in error, mail.letters) == ("failed", True, [])


def test_sending_it_again_changes_nothing_of_that(
    acme: Workspace, vic: User, mail: SmtpServer
) -> None:
    row = letter(acme, "budget.warning")
    assert deliveries_send() == 1
    leave(vic)
    row.refresh_from_db()
    delivery_redeliver(SYSTEM, delivery=row)

    assert deliveries_send() == 1
    assert outcome(row)[0] == "failed"
    assert len(mail.letters) == 1


def test_an_address_that_was_taken_off_a_channel_is_not_written_to(
    acme: Workspace, mail: SmtpServer
) -> None:
    row = letter(acme, "run.failed", "old@acme.example", addresses=["new@acme.example"])

    assert deliveries_send() == 1
    assert (outcome(row)[0], mail.letters) == ("failed", [])


def test_an_address_of_a_channel_needs_no_account(acme: Workspace, mail: SmtpServer) -> None:
    row = letter(acme, "run.failed", "ops@acme.example", addresses=["ops@acme.example"])

    assert deliveries_send() == 1
    assert outcome(row) == ("delivered", "")


def test_a_channel_that_was_switched_off_sends_nothing_more(
    acme: Workspace, vic: User, mail: SmtpServer
) -> None:
    row = letter(acme, "run.failed")
    Channel.objects.update(is_enabled=False)

    assert deliveries_send() == 1
    state, error = outcome(row)
    assert (state, "switched off" in error, mail.letters) == ("failed", True, [])


def test_all_news_says_what_seeing_it_takes() -> None:
    assert set(SEEING) == set(ChannelEvent) - {ChannelEvent.TEST}
