"""A replay repeats its record and stops where the run leaves it."""

import pytest

from agents.contracts import Message, Role, TextPart, ToolCallPart, user_message
from agents.errors import ProviderRequestError
from agents.providers.replay import RecordedAnswer, ReplayProvider
from tests.conformance.provider.subjects import answer_of, ask, results

CALLING = Message(role=Role.ASSISTANT, parts=(ToolCallPart(id="c1", name="now", arguments={}),))
DONE = Message(role=Role.ASSISTANT, parts=(TextPart("noon"),))
RECORD = [RecordedAnswer(message=CALLING, model="big-1"), RecordedAnswer(message=DONE)]
ASKED = user_message("what time?")


async def test_answers_come_in_their_order_with_the_recorded_model() -> None:
    provider = ReplayProvider(RECORD)
    first = await answer_of(provider, ask(ASKED))
    second = await answer_of(provider, ask(ASKED, CALLING, results(CALLING, "12:00")))
    assert (first.message, first.model) == (CALLING, "big-1")
    assert (second.message, second.model) == (DONE, "model-1")
    await provider.aclose()


async def test_answers_from_before_the_run_are_not_counted() -> None:
    provider = ReplayProvider(RECORD, answers_before=1)
    assert (await answer_of(provider, ask(ASKED, DONE, ASKED))).message == CALLING
    with pytest.raises(ProviderRequestError, match="expects 1 answers from before"):
        await answer_of(provider, ask(ASKED))


async def test_a_run_longer_than_its_record_is_stopped() -> None:
    history = (ASKED, CALLING, results(CALLING, "12:00"), DONE, ASKED)
    with pytest.raises(ProviderRequestError, match="asks for answer 3, but its record holds 2"):
        await answer_of(ReplayProvider(RECORD), ask(*history))


async def test_a_run_with_other_calls_is_stopped() -> None:
    other = Message(role=Role.ASSISTANT, parts=(ToolCallPart(id="c2", name="ls", arguments={}),))
    with pytest.raises(ProviderRequestError, match="left its record at answer 1"):
        await answer_of(ReplayProvider(RECORD), ask(ASKED, other, results(other, "a.txt")))
