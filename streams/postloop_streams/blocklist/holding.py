"""Holding bounces back in one partition: whose, those that are kept, and what an outage had blocked before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.blocklist_state import (
    ENTRY_PREFIX,
    HOLDS_PREFIX,
    entry_from_bytes,
    held_key,
    held_prefix,
    holds_from_bytes,
    holds_key,
    holds_to_bytes,
    signals_from_bytes,
    signals_to_bytes,
)
from postloop.domain.blocklist import Ordered, Policy, Reported, taken_back
from postloop.domain.incident import Fate, HoldBegan, HoldEnded, ProviderHolds
from postloop_streams.blocklist.work import Work

# Of one address, the newest: enough for every account that matters, and bounded.
MAX_HELD: Final = 16
_MAX_PROVIDERS: Final = 1_000


class Holding:
    """The holds of all providers in one partition.

    Args:
        is_on: False: no bounce is held any more; those of holds that ended meet their fate all the same.
    """

    def __init__(self, store: PartitionStore, *, policy: Policy, is_on: bool) -> None:
        self._store = store
        self._policy = policy
        self._is_on = is_on
        kept = store.beginning(HOLDS_PREFIX, limit=_MAX_PROVIDERS)
        self._holds = {holds.provider: holds for holds in (holds_from_bytes(value) for _, value in kept)}

    def fate(self, signal: Reported) -> Fate:
        """Return what becomes of what was reported of an address."""
        holds = self._holds.get(signal.provider)
        if holds is None or signal.evidence.kind != "hard":
            return "apply"
        fate = holds.fate(signal.evidence.at_ms)
        return "apply" if fate == "hold" and not self._is_on else fate

    def hold(self, signals: Sequence[Reported], work: Work) -> None:
        """Keep bounces apart until their hold ends."""
        by_key: dict[str, dict[str, Reported]] = {}
        for signal in signals:
            key = held_key(signal.provider, signal.scope, signal.recipient)
            by_key.setdefault(key, {})[signal.evidence.event_id] = signal
        for key, value in self._store.get(list(by_key)).items():
            by_key[key] = _reported(value) | by_key[key]
        for key, reported in by_key.items():
            newest = sorted(reported.values(), key=lambda signal: signal.evidence.order)[-MAX_HELD:]
            work.keep(Item(key, signals_to_bytes(newest)))
        work.held += len(signals)

    def begin(self, signal: HoldBegan) -> Item | None:
        """Hold from now on; None when that hold is over already and the signal is read again."""
        before = self._of(signal.provider)
        after = before.began(signal)
        return None if after == before and after.incident_id != signal.incident_id else self._put(after)

    def end(self, signal: HoldEnded) -> Item:
        """Hold no longer."""
        memory_ms = self._policy.longest_lease_ms
        return self._put(self._of(signal.provider).ended(signal, memory_ms=memory_ms))

    def held(self, provider: str, *, limit: int) -> list[tuple[str, list[Reported]]]:
        """Return what is held of a provider, by key; at most so many addresses."""
        found = self._store.beginning(held_prefix(provider), limit=limit)
        return [(key, list(_reported(value).values())) for key, value in found]

    def made_by(
        self, signal: HoldBegan, *, after: tuple[int, str] | None, limit: int
    ) -> tuple[list[Ordered], tuple[int, str] | None]:
        """Return orders that take back what the outage blocked, of the next entries, and the last entry's place.

        Entries are looked through by the end of their leases: a bounce of the outage made none that ends before its
        own lease.

        Args:
            after: The place that the last call returned; None to begin. A place of None says that there are no more.
        """
        first_ms = signal.started_ms + self._policy.shortest_lease_ms
        due_ms, key = after or (first_ms, "")
        found = self._store.due_from(due_ms, after=key, limit=limit)
        orders = [
            taken_back(
                entry_from_bytes(value),
                provider=signal.provider,
                since_ms=signal.started_ms,
                incident_id=signal.incident_id,
            )
            for _, key, value in found
            if key.startswith(ENTRY_PREFIX)
        ]
        place = found[-1][:2] if found else None
        return [order for order in orders if order is not None], place

    def _of(self, provider: str) -> ProviderHolds:
        return self._holds.get(provider, ProviderHolds(provider=provider))

    def _put(self, holds: ProviderHolds) -> Item:
        self._holds[holds.provider] = holds
        return Item(holds_key(holds.provider), holds_to_bytes(holds))


def _reported(value: bytes) -> dict[str, Reported]:
    signals = [signal for signal in signals_from_bytes(value) if isinstance(signal, Reported)]
    return {signal.evidence.event_id: signal for signal in signals}
