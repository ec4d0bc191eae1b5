"""The internal records of the blocklist role: signals by address, and the changelog of its state.

Nobody else reads these topics. They are JSON all the same, so that support can look at them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from postloop.contracts.blocklist import split_state_key, state_key
from postloop.domain.blocklist import Delivered, Entry, Ordered, Reported, TimePassed
from postloop.domain.errors import DataError
from postloop.domain.incident import (
    Counted,
    HoldBegan,
    HoldEnded,
    ProviderHolds,
    ProviderState,
    state_from_plain,
    state_to_plain,
)

ENTRY_PREFIX: Final = "e|"
ANSWER_PREFIX: Final = "a|"
HELD_PREFIX: Final = "h|"
"""Bounces of one address that are held."""
HOLDS_PREFIX: Final = "g|"
"""The holds of a mailbox provider; every partition has them."""
PROVIDER_PREFIX: Final = "p|"
"""What the guard knows of a mailbox provider; in the partition that owns its name."""
GUARD_PREFIXES: Final = (HELD_PREFIX, HOLDS_PREFIX, PROVIDER_PREFIX)

AnySignal = Reported | Delivered | Ordered | TimePassed | Counted | HoldBegan | HoldEnded
"""What a record of the signals may carry: what was seen of an address, or of a mailbox provider."""

_Signal = Annotated[AnySignal, Field(discriminator="type")]
_SIGNALS: Final[TypeAdapter[list[AnySignal]]] = TypeAdapter(list[_Signal])


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
_HOLDS: Final = TypeAdapter(ProviderHolds)

# No time and no count is larger, and no file holds what is much larger.
_LARGEST: Final = 2**53
_NUMBERS: Final[dict[type, Callable[[Any], Iterable[int]]]] = {
    Reported: lambda one: (one.evidence.at_ms, one.evidence.until_ms or 0),
    Delivered: lambda one: (one.at_ms,),
    Ordered: lambda one: (one.requested_ms, one.until_ms or 0),
    TimePassed: lambda one: (),
    Counted: lambda one: (one.minute_ms, *(number for part in one.parts for number in part[2:])),
    HoldBegan: lambda one: (one.started_ms,),
    HoldEnded: lambda one: (one.started_ms, one.until_ms),
}


def signals_to_bytes(signals: Sequence[AnySignal]) -> bytes:
    """Return signals as the value of one record."""
    return _SIGNALS.dump_json(list(signals))


def signals_from_bytes(value: bytes) -> list[AnySignal]:
    """Return the signals of a record.

    Raises:
        DataError: `bad_signals`, the bytes are none.
    """
    try:
        signals = _SIGNALS.validate_json(value)
    except ValidationError as error:
        raise DataError("bad_signals", "", f"no signals: {error.errors()[0]['msg']}") from error
    if any(abs(number) > _LARGEST for signal in signals for number in _NUMBERS[type(signal)](signal)):
        raise DataError("bad_signals", "", f"no signals: a number is beyond {_LARGEST}")
    return signals


def entry_key(scope: str, recipient: str) -> str:
    """Return the key of an entry in the changelog and in the store."""
    return ENTRY_PREFIX + state_key(scope, recipient)


def answer_key(command_id: str) -> str:
    """Return the key of an answer in the changelog and in the store."""
    return ANSWER_PREFIX + command_id


def held_prefix(provider: str) -> str:
    """Return what the keys of everything begin with that is held of a mailbox provider."""
    return f"{HELD_PREFIX}{provider}|"


def held_key(provider: str, scope: str, recipient: str) -> str:
    """Return the key of the bounces of one address that are held."""
    return held_prefix(provider) + state_key(scope, recipient)


def holds_key(provider: str) -> str:
    """Return the key of the holds of a mailbox provider."""
    return HOLDS_PREFIX + provider


def provider_key(provider: str) -> str:
    """Return the key of what the guard knows of a mailbox provider."""
    return PROVIDER_PREFIX + provider


def owner_of(key: str) -> str:
    """Return the text whose hash decides which partition owns an item: an address, or a provider.

    Of the holds of a provider every partition has a copy.
    """
    if key.startswith(HELD_PREFIX):
        _, _, key = key.removeprefix(HELD_PREFIX).partition("|")
        return split_state_key(key)[1]
    if key.startswith(ENTRY_PREFIX):
        return split_state_key(key.removeprefix(ENTRY_PREFIX))[1]
    return key.partition("|")[2]


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


def holds_to_bytes(holds: ProviderHolds) -> bytes:
    """Return the holds of a provider as they are kept."""
    return _HOLDS.dump_json(holds, exclude_defaults=True)


def holds_from_bytes(value: bytes) -> ProviderHolds:
    """Return the holds of a provider."""
    return _HOLDS.validate_json(value)


def provider_to_bytes(state: ProviderState) -> bytes:
    """Return what the guard knows of a provider as it is kept."""
    return json.dumps(state_to_plain(state), separators=(",", ":")).encode()


def provider_from_bytes(value: bytes) -> ProviderState:
    """Return what the guard knows of a provider."""
    return state_from_plain(json.loads(value))
