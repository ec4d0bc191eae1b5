"""After a block was lifted: what the process has in memory is waited for, and for no longer than it takes."""

from __future__ import annotations

import asyncio
import time

import pytest

from postloop.api import memory
from postloop.api.memory import BlocklistMemory
from postloop.client import BlockedBy, NotReady, Stale
from postloop.settings import Settings

SHOP, ZOE = "shop.example", "zoe@gmail.com"


class Listed:
    """A list that answers what a test says, each question in turn, the last answer for good."""

    def __init__(self, *answers: BlockedBy | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def entry(self, sender_domain: str, recipient: str) -> BlockedBy | None:
        self.asked.append((sender_domain, recipient))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


def entry(scope: str = SHOP, entry_id: str = "e1") -> BlockedBy:
    return BlockedBy(scope=scope, reason="complaint", expires_at=None, entry_id=entry_id)


async def waited(
    monkeypatch: pytest.MonkeyPatch, *answers: BlockedBy | Exception | None
) -> tuple[float, Listed]:
    """Return how long `lifted` took, at most a second, and what it asked."""
    known = Listed(*answers)
    monkeypatch.setattr(memory.AsyncBlocklist, "from_settings", lambda settings: known)
    held = BlocklistMemory(Settings())
    await held.start()
    began_s = time.monotonic()
    await asyncio.wait_for(held.lifted(SHOP, ZOE, within_s=0.2), 1)
    return time.monotonic() - began_s, known


async def test_the_answer_waits_until_the_entry_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    took_s, known = await waited(monkeypatch, entry(), entry(), entry(), entry(), None)
    assert took_s < 0.2
    assert known.asked == [(SHOP, ZOE)] * 5


async def test_an_entry_that_never_goes_is_not_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    took_s, known = await waited(monkeypatch, entry())
    assert 0.2 <= took_s < 0.5
    assert len(known.asked) > 2


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([None], id="gone already"),
        pytest.param([entry(), entry(entry_id="e2")], id="blocked anew"),
        pytest.param([entry(scope="global")], id="something else blocks it"),
        pytest.param([NotReady("not read yet")], id="the list was not read yet"),
        pytest.param([entry(), Stale("nothing heard")], id="nothing is heard of the list"),
    ],
)
async def test_nothing_else_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, answers: list[BlockedBy | Exception | None]
) -> None:
    took_s, _ = await waited(monkeypatch, *answers)
    assert took_s < 0.15
