"""When delays are more than usual, as data, with the reason for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayPolicy:
    """When an alert about delays starts, and when it ends.

    How many false alerts: deliveries are late in clumps (a batch waits in one queue), so counts are divided by
    `clump_count` before the tail is taken. Where that holds, a window passes with a probability of at most
    `tail`, and a year has 52,560 slices: 5e-5 false alerts a year and scope, five a year over 100,000 domains.
    That is for a steady rate. Simulated with clumps of five and a rate between half and twice the usual, another one
    every hour, over a year each: none with 20 or 60 deliveries a slice at 0.01, 0.05 and 0.15; with 500 a slice none,
    one and two. Where the usual rate is 0.3, twice as much is beyond the odds factor, and is told of.

    Attributes:
        slice_ms: Deliveries are counted in slices of so long, by when they were delivered.
        window_slices: The rate is judged over so many: an hour.
        memory_slices: Slices kept; counts of an older one change nothing any more.
        min_delivered_count: Fewer deliveries in a window decide nothing.
        min_delayed_count: Fewer late ones are not worth an alert.
        min_rate: A window below this is no alert, however unusual.
        odds_factor: The odds of being late must be so many times those of history's upper bound.
        bound_z: Of that upper bound.
        tail: How improbable a window must be at the upper bound of history.
        clump_count: How many deliveries are late together.
        calm_slices: It ends when the rate was back for so long.
        calm_share: Back means: less than so far on the way from the usual rate to the limit.
        half_life_ms: Of history. A week, so that every day has its part in it.
        prior_delivered_count: Deliveries that are believed to have been before the first was seen.
        prior_delayed_count: Late ones among them.
        max_alert_ms: After so long the delays are what is usual: it ends, and they are learned.
    """

    slice_ms: int = 10 * _MINUTE_MS
    window_slices: int = 6
    memory_slices: int = 18
    min_delivered_count: int = 50
    min_delayed_count: int = 10
    min_rate: float = 0.1
    odds_factor: float = 3.0
    bound_z: float = 3.0
    tail: float = 1e-9
    clump_count: int = 5
    calm_slices: int = 6
    calm_share: float = 0.5
    half_life_ms: int = 7 * 24 * 60 * _MINUTE_MS
    prior_delivered_count: int = 100
    prior_delayed_count: int = 5
    max_alert_ms: int = 3 * 24 * 60 * _MINUTE_MS

    def __post_init__(self) -> None:
        judged = max(self.window_slices, self.calm_slices)
        if self.memory_slices < judged:
            raise ValueError(f"memory_slices is {judged} at least, what is judged: {self.memory_slices}")


DEFAULT_DELAY_POLICY: Final = DelayPolicy()
