"""The journal of a role: whatever stands on a topic, what is behind it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from postloop.adapters.errors import UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.journal import Refused
from postloop.adapters.metrics import BlocklistMetrics
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.field_errors import FieldError
from postloop.settings import Settings
from postloop_streams.journal import JournalWriter


@dataclass
class Record:
    offset: int
    value: bytes
    topic: str = "blocklist.insert"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Rows:
    """Refuses what says so, and cannot store at all what overflows a column."""

    def __init__(self) -> None:
        self.stored: set[int] = set()
        self.outages = 0

    def write(self, records: Sequence[Any]) -> Sequence[Refused]:
        if self.outages:
            self.outages -= 1
            raise UnavailableError("away")
        if any(record.value == b"overflows" for record in records):
            raise OverflowError("int too large to convert")
        refused = [record for record in records if record.value == b"null"]
        self.stored |= {record.offset for record in records} - {record.offset for record in refused}
        return [(record, (FieldError("not_an_object", "", "no event"),)) for record in refused]


@pytest.fixture
def letters() -> list[DeadLetterV1]:
    return []


@pytest.fixture
def journal(letters: list[DeadLetterV1]) -> JournalWriter:
    return JournalWriter(
        Settings(),
        {},
        name="test",
        partitions=1,
        connect_journal=Rows,
        refuse=letters.extend,
        unstored_rows=BlocklistMetrics().blocklist_journal_unstored_rows,
        health=HealthState(["journal"]),
        fail=lambda reason: None,
    )


def test_what_is_none_and_what_no_table_takes_are_dead_letters_and_the_rest_is_stored(
    journal: JournalWriter, letters: list[DeadLetterV1]
) -> None:
    rows = Rows()
    values = [b"{}", b"null", b"{}", b"overflows", b"{}", b"{}", b"overflows"]
    journal._write(rows, [Record(offset, value) for offset, value in enumerate(values)])
    assert rows.stored == {0, 2, 4, 5}
    assert {(one.offset, one.stage, one.errors[0].code) for one in letters} == {
        (1, "decode", "not_an_object"),
        (3, "process", "not_json"),
        (6, "process", "not_json"),
    }


def test_an_outage_makes_no_dead_letter(journal: JournalWriter, letters: list[DeadLetterV1]) -> None:
    rows = Rows()
    rows.outages = 1
    with pytest.raises(UnavailableError):
        journal._write(rows, [Record(0, b"null"), Record(1, b"{}")])
    assert not letters
