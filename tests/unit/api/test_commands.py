"""A request to the blocklist that is not answered, or may not have arrived: what to do then, in words of the API."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from postloop.adapters.errors import RefusedError
from postloop.adapters.record_producer import Record
from postloop.api import commands
from postloop.api.commands import CommandDesk
from postloop.api.problems import Problem
from postloop.api.publishing import Publisher
from postloop.contracts.blocklist import BlocklistCommandV1
from postloop.settings import Settings

COMMAND = BlocklistCommandV1.model_validate(
    {
        "command_id": "c1",
        "command": "unblock",
        "recipient": "anna@example.org",
        "scope": "global",
        "actor": {"kind": "account", "id": "acme"},
        "reason": "it works",
        "requested_at": "2026-01-02T10:00:00Z",
    }
)


class Producer:
    """Takes records, or refuses all."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def publish(self, records: Sequence[Record]) -> None:
        if self._error is not None:
            raise self._error


def publisher(error: Exception | None = None) -> Publisher:
    made = Publisher(Settings())
    made._producer = Producer(error)  # type: ignore[assignment]
    return made


def desk(error: Exception | None = None) -> CommandDesk:
    made = CommandDesk(Settings(), publisher(error))
    made._reader = SimpleNamespace(is_in_place=SimpleNamespace(is_set=lambda: True))  # type: ignore[assignment]
    return made


async def refusal(work: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value


async def test_no_answer_in_time_names_no_command_of_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "REPLY_TIMEOUT_S", 0.01)
    problem = await refusal(desk().ask(COMMAND))
    assert (problem.status_code, problem.code) == (504, "no_answer")
    assert problem.detail.endswith("it may do so later. Ask again: a repeat is harmless.")
    assert "postloop" not in problem.detail


async def test_a_request_that_may_have_arrived_is_not_called_an_event() -> None:
    problem = await refusal(desk(RefusedError("no")).ask(COMMAND))
    assert (problem.status_code, problem.code) == (503, "kafka_unavailable")
    assert "may arrive all the same" in problem.detail
    assert "counts once" not in problem.detail


async def test_events_that_may_have_arrived_are_to_be_sent_again() -> None:
    problem = await refusal(publisher(RefusedError("no")).publish([]))
    assert problem.status_code == 503
    assert "what arrived twice counts once" in problem.detail
