"""What is remembered ends soon, stays bounded, and never outlives a change."""

import os
import threading
from functools import partial

import pytest

from core import clock
from governance.access import BriefMemory


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)


def test_an_entry_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Clock(monkeypatch)
    memory: BriefMemory[str, int] = BriefMemory(ttl_seconds=2)
    answers = iter([1, 2, 3])
    assert memory.peek("a") is None
    assert memory.get("a", lambda: next(answers)) == 1
    time.now += 1.9
    assert memory.get("a", lambda: next(answers)) == 1
    time.now += 0.2
    assert memory.peek("a") is None
    assert memory.get("a", lambda: next(answers)) == 2


def test_the_oldest_entries_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    memory: BriefMemory[int, int] = BriefMemory(max_entries=3)
    for number in range(5):
        memory.get(number, partial(int, number))
    assert len(memory) == 3
    assert [memory.peek(number) for number in range(5)] == [None, None, 2, 3, 4]


def test_a_value_read_before_a_change_is_not_kept_after_it() -> None:
    memory: BriefMemory[str, str] = BriefMemory()

    def load() -> str:
        memory.forget(lambda key, _value: key == "a")  # the change commits while we read
        return "old"

    assert memory.get("a", load) == "old"
    assert memory.peek("a") is None


def test_of_many_that_miss_one_asks() -> None:
    memory: BriefMemory[str, int] = BriefMemory()
    is_loading, may_end = threading.Event(), threading.Event()
    asked: list[int] = []
    answers: list[int] = []

    def load() -> int:
        asked.append(1)
        is_loading.set()
        assert may_end.wait(10)
        return 7

    threads = [
        threading.Thread(target=lambda: answers.append(memory.get("a", load))) for _ in range(5)
    ]
    threads[0].start()
    assert is_loading.wait(10)
    for thread in threads[1:]:
        thread.start()
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert (asked, answers) == ([1], [7] * 5)


def test_only_what_matches_is_forgotten_and_failures_are_not_kept() -> None:
    memory: BriefMemory[str, str] = BriefMemory()
    memory.get("a", lambda: "x")
    memory.get("b", lambda: "y")
    memory.forget(lambda _key, value: value == "x")
    assert (memory.peek("a"), memory.peek("b")) == (None, "y")
    with pytest.raises(LookupError):
        memory.get("c", partial(os.environ.__getitem__, "NO_SUCH_NAME"))
    assert memory.peek("c") is None
    memory.clear()
    assert len(memory) == 0
