"""What a replica answers to a sender: readiness first, then staleness, then the entries. No Kafka, no thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from postloop.client.errors import NotReady, Stale
from postloop.client.replica import Replica
from postloop.client.view import BlockedBy, BlockView

OnStale = Literal["raise", "allow", "block"]


@dataclass(frozen=True, slots=True)
class Stats:
    """How a blocklist is.

    Attributes:
        entries: Those whose end has passed count until their release comes.
        staleness_s: For how long nothing was heard of the topic; None before it was read.
        bytes: Memory of the entries.
        skipped: Records that could not be read; the former state of their keys stays.
        problem: Why it is not ready or ages, for a person; empty while all is well.
    """

    entries: int
    ready: bool
    staleness_s: float | None
    bytes: int
    skipped: int
    problem: str


class Answers:
    """The questions that a sender may ask at any time, from any thread; none of them waits.

    Args:
        on_stale: `raise` Stale; `allow`: go on with the entries known last; `block` everybody.
        clock: The wall clock, in seconds since 1970; ends of entries are compared with it.
        steady: The clock by which the replica was told when it was heard of, in seconds.
        outage: Returns why nothing is heard at the moment, empty while all is well.

    Raises:
        ValueError: An unknown value of `on_stale`, or no time at all.
    """

    def __init__(
        self,
        replica: Replica,
        *,
        max_staleness_s: float,
        on_stale: OnStale,
        clock: Callable[[], float],
        steady: Callable[[], float],
        outage: Callable[[], str],
    ) -> None:
        if on_stale not in get_args(OnStale):
            raise ValueError(f"on_stale is one of {', '.join(get_args(OnStale))}: {on_stale!r}")
        if max_staleness_s <= 0:
            raise ValueError(f"max_staleness_s is above 0: {max_staleness_s}")
        self._replica = replica
        self._max_staleness_s = max_staleness_s
        self._on_stale = on_stale
        self._clock = clock
        self._steady = steady
        self._outage = outage
        self._is_closed = False

    def allowed(self, sender_domain: str, recipient: str) -> bool:
        """Return whether a sender domain may mail a recipient now, in microseconds.

        Raises:
            NotReady: The list cannot be looked up yet, see `wait_ready`.
            Stale: Nothing was heard of the topic for too long, and `on_stale` is `raise`.
        """
        view = self._view()
        if self._is_stale() and self._blocks_when_stale():
            return False
        return not view.blocks(sender_domain, recipient, now_ms=self._now_ms())

    def allowed_many(self, pairs: Iterable[tuple[str, str]]) -> list[bool]:
        """Return the answer for each pair of sender domain and recipient, all of one moment.

        Raises:
            NotReady, Stale: As in `allowed`.
        """
        view = self._view()
        if self._is_stale() and self._blocks_when_stale():
            return [False for _ in pairs]
        now_ms = self._now_ms()
        return [not view.blocks(domain, recipient, now_ms=now_ms) for domain, recipient in pairs]

    def entry(self, sender_domain: str, recipient: str) -> BlockedBy | None:
        """Return why a recipient may not be mailed, None when no entry blocks it.

        A stale list that is not to raise answers with what it knew last, also when it blocks everybody.

        Raises:
            NotReady, Stale: As in `allowed`.
        """
        return self._fresh_enough().entry(sender_domain, recipient, now_ms=self._now_ms())

    def entries(self, pairs: Iterable[tuple[str, str]]) -> list[BlockedBy | None]:
        """Return for each pair of sender domain and recipient what `entry` returns, all of one moment.

        Raises:
            NotReady, Stale: As in `allowed`.
        """
        return self._fresh_enough().entries(pairs, now_ms=self._now_ms())

    def stats(self) -> Stats:
        """Return how the list is; never raises."""
        view = self._replica.serving
        reason = self._reason_not_ready()
        return Stats(
            entries=0 if view is None else view.entry_count,
            ready=reason is None,
            staleness_s=None if view is None else self._staleness_s(),
            bytes=0 if view is None else view.size_bytes,
            skipped=self._replica.skipped_count,
            problem=reason or self._problem(),
        )

    def _has_to_wait(self) -> bool:
        """Return whether the list is not ready and will be.

        Raises:
            NotReady: Waiting is useless: the list was closed, or lacks its key.
        """
        if self._replica.serving is None and not self._is_closed:
            return True
        if self._reason_not_ready() is None:
            return False
        raise self._not_ready()

    def _view(self) -> BlockView:
        view = self._replica.serving
        if view is None or self._is_closed or view.lacks_key:
            raise self._not_ready()
        return view

    def _fresh_enough(self) -> BlockView:
        """Return the entries known last, unless a stale list is to raise."""
        view = self._view()
        if self._is_stale():
            self._blocks_when_stale()
        return view

    def _not_ready(self) -> NotReady:
        return NotReady(self._reason_not_ready() or "the blocklist became ready at this moment")

    def _reason_not_ready(self) -> str | None:
        if self._is_closed:
            return "the blocklist was closed"
        view = self._replica.serving
        if view is None:
            return f"the blocklist was not read to its end yet: {self._problem() or 'it is being read'}"
        if view.lacks_key:
            return "the blocklist holds hashed recipients and cannot be looked up without its hash_key"
        return None

    def _is_stale(self) -> bool:
        return self._steady() - self._replica.heard_s > self._max_staleness_s

    def _blocks_when_stale(self) -> bool:
        """Return whether a stale list blocks everybody; else it answers with what it knew last.

        Raises:
            Stale: It is not to answer at all.
        """
        if self._on_stale == "raise":
            raise Stale(self._staleness_text())
        return self._on_stale == "block"

    def _staleness_text(self) -> str:
        text = f"nothing was heard of the blocklist for {self._staleness_s():.0f} s"
        return f"{text} (limit {self._max_staleness_s:g} s): {self._problem() or 'no broker answers'}"

    def _staleness_s(self) -> float:
        return self._steady() - self._replica.heard_s

    def _problem(self) -> str:
        return self._replica.waits_for or self._outage()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
