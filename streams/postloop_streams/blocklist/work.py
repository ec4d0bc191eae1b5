"""What a batch of signals leads to: records to publish, items to keep, and what is to be counted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from postloop.adapters.partition_store import Item
from postloop.domain.blocklist import Signal
from postloop.domain.incident import HoldBegan, HoldEnded


class ItemReader(Protocol):
    """Reads stored items."""

    def get(self, keys: Sequence[str]) -> dict[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to publish; topics are without prefix."""

    topic: str
    key: str
    value: bytes | None


@dataclass(slots=True)
class Work:
    """What a batch of signals leads to.

    Attributes:
        outgoing: To be published and acknowledged first.
        to_all: To be told to every partition next.
        items: To be kept then, the last word on each key.
        failures: Signals on which the rules failed, with the traceback: a fault of ours.
    """

    outgoing: list[Outgoing] = field(default_factory=list)
    to_all: list[HoldBegan | HoldEnded] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    failures: list[tuple[Signal, str]] = field(default_factory=list)
    inserted: int = 0
    extended: int = 0
    released: int = 0
    held: int = 0
    discarded: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.outgoing or self.to_all or self.items or self.failures)

    def keep(self, item: Item) -> None:
        """Keep an item; it replaces an earlier one of its key."""
        self.items[item.key] = item

    def add_counts(self, other: Work) -> None:
        """Count what other work did as well."""
        self.inserted += other.inserted
        self.extended += other.extended
        self.released += other.released
        self.held += other.held
        self.discarded += other.discarded
