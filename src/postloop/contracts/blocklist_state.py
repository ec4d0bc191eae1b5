"""The internal records of the blocklist role: signals by address, and the changelog of its state.

Nobody else reads these topics. They are JSON all the same, so that support can look at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from postloop.contracts.blocklist import state_key
from postloop.domain.blocklist import Delivered, Entry, Ordered, Reported, TimePassed
from postloop.domain.errors import DataError

ENTRY_PREFIX: Final = "e|"
ANSWER_PREFIX: Final = "a|"
RESTORED_KEY: Final = "restored"
MARKER_KEY: Final = "marker"

_Signal = Annotated[Reported | Delivered | Ordered | TimePassed, Field(discriminator="type")]
_SIGNALS: Final[TypeAdapter[list[Reported | Delivered | Ordered | TimePassed]]] = TypeAdapter(list[_Signal])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A command and the answer that it got first; a repeat gets the same one."""

    order: Ordered
    outcome: str
    code: str
    text: str
    event_ids: tuple[str, ...]
    answered_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """That a partition's changelog holds everything there is, for so many partitions."""

    partitions: int
    entries: int
    source: str


_ENTRY: Final = TypeAdapter(Entry)
_ANSWER: Final = TypeAdapter(Answer)
_RESTORED: Final = TypeAdapter(Restored)


def signals_to_bytes(signals: Sequence[Reported | Delivered | Ordered | TimePassed]) -> bytes:
    """Return signals as the value of one record."""
    return _SIGNALS.dump_json(list(signals))


def signals_from_bytes(value: bytes) -> list[Reported | Delivered | Ordered | TimePassed]:
    """Return the signals of a record.

    Raises:
        DataError: `bad_signals`, the bytes are none.
    """
    try:
        return _SIGNALS.validate_json(value)
    except ValidationError as error:
        raise DataError("bad_signals", "", f"no signals: {error.errors()[0]['msg']}") from error


def entry_key(scope: str, recipient: str) -> str:
    """Return the key of an entry in the changelog and in the store."""
    return ENTRY_PREFIX + state_key(scope, recipient)


def answer_key(command_id: str) -> str:
    """Return the key of an answer in the changelog and in the store."""
    return ANSWER_PREFIX + command_id


def entry_to_bytes(entry: Entry) -> bytes:
    """Return an entry as it is kept; what is at its default is left out."""
    return _ENTRY.dump_json(entry, exclude_defaults=True)


def entry_from_bytes(value: bytes) -> Entry:
    """Return an entry; the bytes are our own, so anything else is a fault."""
    return _ENTRY.validate_json(value)


def answer_to_bytes(answer: Answer) -> bytes:
    """Return an answer as it is kept."""
    return _ANSWER.dump_json(answer)


def answer_from_bytes(value: bytes) -> Answer:
    """Return an answer."""
    return _ANSWER.validate_json(value)


def restored_to_bytes(restored: Restored) -> bytes:
    """Return the mark of a whole changelog."""
    return _RESTORED.dump_json(restored)


def restored_from_bytes(value: bytes) -> Restored:
    """Return the mark of a whole changelog."""
    return _RESTORED.validate_json(value)
