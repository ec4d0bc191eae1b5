"""Counting outcomes for the incident guard, and when what was counted may be judged.

A rate needs both of its parts. Bounces are few and deliveries many, so after a pause a worker has read the bounces of
hours while it still reads the deliveries of the first minutes: judged at once, every pause would look like an outage of
all providers. Bounces therefore wait until the deliveries that reached the log before them were read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Final

from postloop.domain.incident import Counted
from postloop_streams.blocklist.outcomes import OutcomeCounts

# A partition that brought nothing for so long has nothing: a moment where little was left of it. That alone proves
# nothing: the embedded broker tells of an end that lies up to a batch too early.
NEAR_COUNT: Final = 500
NEAR_IDLE_S: Final = 1.0
IDLE_S: Final = 10.0
# Bounces may be ahead of deliveries by this much. Who ships the log of an hour at once puts it on the topics within
# seconds: with ten of them every such upload looked like an outage.
_WAITING_STEP_MS: Final = 50
# Of one signal: a record must stay far below what a topic takes.
MAX_PARTS: Final = 200

_Sums = defaultdict[tuple[str, int, str, str], list[int]]


class Pulses:
    """What one worker counted since it last said so."""

    def __init__(self) -> None:
        self._ready = _sums()
        self._waiting: dict[int, _Sums] = {}
        self._read_ms: dict[int, float] = {}
        self._idle_at_s: dict[int, float] = {}

    def assign(self, numbers: Collection[int], *, now_s: float) -> None:
        """Count on from here: these partitions of the deliveries are read now. What waits is another's to count."""
        self._waiting.clear()
        self._read_ms = dict.fromkeys(numbers, 0.0)
        self._idle_at_s = dict.fromkeys(numbers, now_s + IDLE_S)

    def deliveries(self, counts: OutcomeCounts) -> None:
        """Count deliveries."""
        _add(self._ready, counts)

    def read_to(self, number: int, *, at_ms: int, behind_count: int, now_s: float) -> None:
        """Note that a partition of the deliveries was read up to a record that the log took at `at_ms`."""
        if number in self._read_ms:
            self._read_ms[number] = at_ms
            self._idle_at_s[number] = now_s + (NEAR_IDLE_S if behind_count <= NEAR_COUNT else IDLE_S)

    def bounces(self, counts: OutcomeCounts, *, at_ms: int) -> None:
        """Count bounces whose records the log took by `at_ms`; they wait for the deliveries from before."""
        if counts:
            _add(self._waiting.setdefault(at_ms // _WAITING_STEP_MS, _sums()), counts)

    def take(self, *, now_s: float) -> list[Counted]:
        """Return what may be judged now, and forget it."""
        read_ms = min(
            (at for number, at in self._read_ms.items() if now_s < self._idle_at_s[number]),
            default=float("inf"),
        )
        for step in [s for s in self._waiting if s * _WAITING_STEP_MS <= read_ms]:
            _add(self._ready, self._waiting.pop(step))
        ready, self._ready = self._ready, _sums()
        return list(_signals(ready))


def _sums() -> _Sums:
    return defaultdict(lambda: [0, 0])


def _add(sums: _Sums, counts: OutcomeCounts | _Sums) -> None:
    for key, (outcomes, hard) in counts.items():
        total = sums[key]
        total[0] += outcomes
        total[1] += hard


def _signals(sums: _Sums) -> Iterator[Counted]:
    by_minute: defaultdict[tuple[str, int], list[tuple[str, str, int, int]]] = defaultdict(list)
    for (provider, minute_ms, account_id, sender_domain), (outcomes, hard) in sums.items():
        by_minute[provider, minute_ms].append((account_id, sender_domain, outcomes, hard))
    for provider, minute_ms in sorted(by_minute, key=lambda key: key[1]):
        parts = by_minute[provider, minute_ms]
        for first in range(0, len(parts), MAX_PARTS):
            yield Counted(
                provider=provider, minute_ms=minute_ms, parts=tuple(parts[first : first + MAX_PARTS])
            )
