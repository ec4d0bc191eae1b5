"""Waits until nothing more of a run arrives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from postloop.simulation.observed import Observed
from postloop.simulation.truth import Truth

POLL_S: Final = 0.5
QUIET_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """How far a run has come in ClickHouse."""

    events: int
    rows: int
    dead_letters: int
    pending_repairs: int

    def is_whole(self, truth: Truth) -> bool:
        """Return whether everything is there and nothing waits for a repair."""
        return (
            self.events >= truth.events
            and self.dead_letters >= truth.dead_letters
            and not self.pending_repairs
        )


def settle(
    observed: Observed,
    truth: Truth,
    *,
    wait_s: float,
    now_s: Callable[[], float],
    sleep: Callable[[float], None],
    on_progress: Callable[[Arrived], None] = lambda _: None,
) -> Arrived:
    """Return when everything has arrived, or when nothing has changed for `wait_s` seconds.

    Whole is not enough at once: repeats of events that are there already may still be on their way.
    """
    last, changed_s = look(observed), now_s()
    while True:
        on_progress(last)
        quiet_s = now_s() - changed_s
        if quiet_s >= (min(wait_s, QUIET_S) if last.is_whole(truth) else wait_s):
            return last
        sleep(POLL_S)
        seen = look(observed)
        if seen != last:
            last, changed_s = seen, now_s()


def look(observed: Observed) -> Arrived:
    """Return how far a run has come."""
    events, rows, dead_letters = observed.progress()
    return Arrived(events, rows, dead_letters, observed.pending_repairs())
