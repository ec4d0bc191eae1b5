"""The memory of deliveries to addresses of which nothing else is known.

A delivery ends a run of soft bounces by event time, so it matters to a bounce that comes later and happened earlier.
Nearly all addresses never bounce: their deliveries are remembered in memory, for a while, and not stored.
"""

from __future__ import annotations

from typing import Final

from postloop.domain.blocklist import Delivery

# About 300 bytes each, in two generations: 30 MB a partition at most.
MAX_ADDRESSES: Final = 50_000
_PER_ADDRESS: Final = 4


class RecentDeliveries:
    """The newest deliveries of the addresses that had one lately."""

    def __init__(self, *, max_addresses: int = MAX_ADDRESSES) -> None:
        self._max = max_addresses
        self._young: dict[str, tuple[Delivery, ...]] = {}
        self._old: dict[str, tuple[Delivery, ...]] = {}

    def add(self, recipient: str, delivery: Delivery) -> None:
        """Remember a delivery."""
        known = self.of(recipient)
        if len(self._young) >= self._max:
            self._old, self._young = self._young, {}
        self._young[recipient] = (*known, delivery)[-_PER_ADDRESS:]

    def of(self, recipient: str) -> tuple[Delivery, ...]:
        """Return the deliveries that are remembered of an address."""
        return self._young.get(recipient) or self._old.get(recipient) or ()
