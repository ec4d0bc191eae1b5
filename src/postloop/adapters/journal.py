"""What the journals of roles share: the records that they copy from Kafka into ClickHouse, and those that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from postloop.contracts.field_errors import FieldError
from postloop.contracts.unreadable import READING_ERRORS, reasons_of

_OFFSET_BITS: Final = 20


class Record(Protocol):
    """A consumed Kafka record; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


Refused = tuple[Record, tuple[FieldError, ...]]
"""A record that is none of its topic's, and why."""


class Journal(Protocol):
    """The writing side of the database."""

    def write(self, records: Sequence[Record]) -> Sequence[Refused]:
        """Store records in the order in which they come, and return those that are none; a repeat changes nothing.

        Raises:
            UnavailableError, RefusedError: ClickHouse is away or refuses.
        """
        ...


def read_each(records: Iterable[Record], read: Callable[[Record], None]) -> list[Refused]:
    """Read records one by one, and return those that somebody else wrote, which cannot be read."""
    refused: list[Refused] = []
    for record in records:
        try:
            read(record)
        except READING_ERRORS as error:
            refused.append((record, reasons_of(record.value, error)))
    return refused


def version_of(record: Record) -> int:
    """Return the version of what a record of a changelog says: later records have higher ones.

    Time tells one life of the topic from the next; the offset orders what came within a millisecond.
    """
    return (record.timestamp << _OFFSET_BITS) | (record.offset & ((1 << _OFFSET_BITS) - 1))
