"""Commands on their way to the owner of an address."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from postloop.adapters.blocklist_policy import RecipientKey
from postloop.adapters.errors import UnavailableError
from postloop.adapters.metrics import BlocklistMetrics
from postloop.contracts.blocklist_state import signals_from_bytes
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.decode import Limits
from postloop.domain.blocklist import DEFAULT_POLICY, Ordered
from postloop.settings import Settings
from postloop_streams.blocklist.intake import Intake
from postloop_streams.blocklist.routing import Router
from postloop_streams.blocklist.work import Outgoing


class Publisher:
    """Keeps what would be published."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.signals: list[Any] = []
        self.letters: list[DeadLetterV1] = []

    async def patiently(self, attempt: Any) -> Any:
        return await attempt()

    async def send(self, records: Sequence[Outgoing]) -> None:
        self.replies += [json.loads(record.value or b"") for record in records]

    async def send_to_partitions(self, topic: str, records: Sequence[tuple[int, bytes]]) -> None:
        self.signals += [signal for _, value in records for signal in signals_from_bytes(value)]

    async def keep(self, letters: Sequence[DeadLetterV1]) -> None:
        self.letters += letters


def intake(publisher: Publisher, *, owns: Any = lambda account, domain: True) -> Intake:
    made = Intake(
        Router(limits=Limits(), policy=DEFAULT_POLICY, key=RecipientKey(Settings())),
        publisher=publisher,  # type: ignore[arg-type]
        owns_domain=owns,
        dead_letters=publisher.keep,
        signal_topic="signals",
        metrics=BlocklistMetrics(),
    )
    made.partitions = 4
    return made


def record(value: bytes | None) -> Any:
    return SimpleNamespace(topic="blocklist.command", partition=1, offset=7, key=None, value=value)


def command(**fields: Any) -> bytes:
    document = {
        "command_id": "c1",
        "command": "block",
        "recipient": "Anna@Example.org",
        "scope": "shop.example",
        "actor": {"kind": "account", "id": "acme"},
        "reason": "asked for",
        "requested_at": "2026-03-01T10:00:00Z",
    }
    return json.dumps({**document, **fields}).encode()


async def test_a_command_goes_to_the_owner_of_the_canonical_address() -> None:
    publisher = Publisher()
    assert await intake(publisher).commands([record(command())])

    (order,) = publisher.signals
    assert isinstance(order, Ordered)
    assert (order.recipient, order.scope, order.owns_domain) == ("anna@example.org", "shop.example", True)
    assert publisher.replies == []


@pytest.mark.parametrize("name", ["block", "unblock", "opt_in"])
async def test_a_command_for_a_sender_domain_says_whether_the_account_sends_from_it(name: str) -> None:
    asked: list[tuple[str, str]] = []

    def owns(account: str, domain: str) -> bool:
        asked.append((account, domain))
        return True

    publisher = Publisher()
    assert await intake(publisher, owns=owns).commands([record(command(command=name))])

    (order,) = publisher.signals
    assert isinstance(order, Ordered)
    assert order.owns_domain
    assert asked == [("acme", "shop.example")]


async def test_whose_domain_it_is_matters_neither_for_everybodys_blocks_nor_for_operators() -> None:
    def never(account: str, domain: str) -> bool:
        raise AssertionError("nobody has to know")

    operator = {"kind": "operator", "id": "eve"}
    commands = [command(command="unblock", scope="global"), command(command="unblock", actor=operator)]
    publisher = Publisher()
    assert await intake(publisher, owns=never).commands([record(value) for value in commands])
    assert len(publisher.signals) == 2


async def test_a_command_without_an_id_that_cannot_be_read_is_a_dead_letter() -> None:
    publisher = Publisher()
    assert await intake(publisher).commands([record(b"{not json"), record(None), record(command())])

    assert [letter.value for letter in publisher.letters] == [b"{not json", None]
    assert all(letter.errors for letter in publisher.letters)
    assert len(publisher.signals) == 1


async def test_a_command_with_an_id_gets_an_answer_instead() -> None:
    publisher = Publisher()
    assert await intake(publisher).commands([record(command(reason=""))])

    assert [(r["command_id"], r["code"]) for r in publisher.replies] == [("c1", "invalid_command")]
    assert publisher.letters == publisher.signals == []


async def test_whose_domain_it_is_cannot_be_known_while_the_database_is_away() -> None:
    def away(account: str, domain: str) -> bool:
        raise UnavailableError("ClickHouse cannot be reached")

    publisher = Publisher()
    assert await intake(publisher, owns=away).commands([record(command())])
    assert [reply["code"] for reply in publisher.replies] == ["try_again"]
