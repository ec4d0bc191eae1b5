"""What the world is told when the blocklist changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from postloop.domain.blocklist.entry import ReleaseCause, Told
from postloop.domain.event_ids import Namespace

Outcome = Literal["done", "refused", "not_found"]

_IDS: Final = Namespace("0b7d6a52-9a51-5a6f-8d0e-3f4f1a6f2c77")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """An address was blocked, or its block got longer (`told.change`)."""

    scope: str
    recipient: str
    provider: str
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A block ended. `told` is what was said of it last."""

    scope: str
    recipient: str
    provider: str
    told: Told
    event_id: str
    cause: ReleaseCause
    expired_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a command, in a code for programs and a sentence for people."""

    command_id: str
    outcome: Outcome
    code: str
    text: str


Change = Blocked | Released | Answered


def entry_id(*, scope: str, recipient: str, ended_ms: int) -> str:
    """Return the id of the block that follows one that ended at `ended_ms` (0: the first one)."""
    return _IDS.id_of(f"entry|{scope}|{ended_ms}|{recipient}")


def blocked_event_id(*, scope: str, recipient: str, cause_id: str) -> str:
    """Return the id of the event that a cause (an input event, a command) leads to."""
    return _IDS.id_of(f"insert|{scope}|{cause_id}|{recipient}")


def released_event_id(*, entry_id: str, cause: str, cause_id: str) -> str:
    """Return the id of the event of a release; `cause_id` is the command's, or the moment at which a lease ended."""
    return _IDS.id_of(f"expire|{entry_id}|{cause}|{cause_id}")
