"""What is kept of the delivery times of one scope: its last slices, its usual rate, and the alert that goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from postloop.domain.alert import Scope
from postloop.domain.delivery_time.policy import DelayPolicy
from postloop.domain.errors import DataError
from postloop.domain.intervals import wilson_upper

# A bound of 1 could not be exceeded, and has no odds.
_HIGHEST_BOUND = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Deliveries of a stretch of `slice_ms`, by when they were delivered.

    Attributes:
        at_ms: Any moment of it, in milliseconds since 1970.
        delivered_count: Deliveries that say when they were sent.
        delayed_count: Those after more than 300 s.

    Raises:
        DataError: a count is negative, or more were late than delivered.
    """

    at_ms: int
    delivered_count: int = 0
    delayed_count: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.delayed_count <= self.delivered_count:
            text = f"delayed_count is between 0 and delivered_count ({self.delivered_count}): {self.delayed_count}"
            raise DataError("out_of_range", "delayed_count", text)

    @property
    def rate(self) -> float:
        """Late deliveries per delivery; 0 without any."""
        return self.delayed_count / self.delivered_count if self.delivered_count else 0.0


def summed(slices: Iterable[Slice], *, at_ms: int = 0) -> Slice:
    """Return what several slices count together."""
    counted = list(slices)
    return Slice(
        at_ms=at_ms,
        delivered_count=sum(s.delivered_count for s in counted),
        delayed_count=sum(s.delayed_count for s in counted),
    )


@dataclass(frozen=True, slots=True)
class Usual:
    """What history says: the best guess, a bound it is hardly above, and the limit of an alert."""

    rate: float
    upper_rate: float
    limit_rate: float

    def rate_towards_limit(self, share: float) -> float:
        """Return a rate on the way from the bound (0) to the limit (1)."""
        return self.upper_rate + share * (self.limit_rate - self.upper_rate)


@dataclass(frozen=True, slots=True)
class History:
    """Deliveries of usual slices, each worth half after the policy's half life; weights are those of `at_ms`."""

    delivered_weight: float = 0.0
    delayed_weight: float = 0.0
    at_ms: int = 0

    def learned(self, counted: Slice, policy: DelayPolicy) -> History:
        """Return the history with one more slice, not older than the last one."""
        kept = self._kept_share(policy, at_ms=counted.at_ms)
        return History(
            self.delivered_weight * kept + counted.delivered_count,
            self.delayed_weight * kept + counted.delayed_count,
            counted.at_ms,
        )

    def usual(self, policy: DelayPolicy, *, at_ms: int) -> Usual:
        """Return what is usual at a later moment: the older the knowledge, the wider the bound."""
        kept = self._kept_share(policy, at_ms=at_ms)
        delivered = self.delivered_weight * kept + policy.prior_delivered_count
        rate = (self.delayed_weight * kept + policy.prior_delayed_count) / delivered
        upper = min(wilson_upper(rate, delivered / policy.clump_count, z=policy.bound_z), _HIGHEST_BOUND)
        odds = policy.odds_factor * upper / (1 - upper)
        return Usual(rate, upper, max(policy.min_rate, odds / (1 + odds)))

    def _kept_share(self, policy: DelayPolicy, *, at_ms: int) -> float:
        return float(0.5 ** (max(at_ms - self.at_ms, 0) / policy.half_life_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayIncident:
    """An alert that goes on.

    Attributes:
        started_ms: Estimated: the first slice of the run of slow ones.
        usual_rate: What was usual when it started.
        forgotten: Slices since then that are no longer in memory.
    """

    incident_id: str
    started_ms: int
    usual_rate: float
    forgotten: Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayState:
    """Everything that is known of one scope; never changed, only replaced. At most `memory_slices` slices.

    Attributes:
        head_ms: The newest slice; time passes by it. 0: none.
        slices: The last ones, sorted, those without deliveries left out.
        armed_from_ms: Older slices start nothing and teach nothing: they had their alert.
    """

    scope: Scope
    head_ms: int = 0
    slices: tuple[Slice, ...] = ()
    history: History = History()
    incident: DelayIncident | None = None
    armed_from_ms: int = 0

    def total_since_start(self, incident: DelayIncident) -> Slice:
        """Return what was delivered since the incident started."""
        kept = summed(s for s in self.slices if s.at_ms >= incident.started_ms)
        return replace(summed([kept, incident.forgotten]), at_ms=self.head_ms)


def state_to_plain(state: DelayState) -> dict[str, Any]:
    """Return a state as what JSON knows: dictionaries, lists, strings and numbers."""
    history, incident = state.history, state.incident
    return {
        "scope": state.scope.to_plain(),
        "head_ms": state.head_ms,
        "slices": [_plain(s) for s in state.slices],
        "history": [history.delivered_weight, history.delayed_weight, history.at_ms],
        "incident": incident
        and [incident.incident_id, incident.started_ms, incident.usual_rate, _plain(incident.forgotten)],
        "armed_from_ms": state.armed_from_ms,
    }


def state_from_plain(plain: dict[str, Any]) -> DelayState:
    """Return the state that `state_to_plain` was given.

    Raises:
        DataError: it is not of that form.
    """
    try:
        delivered, delayed, at_ms = plain["history"]
        return DelayState(
            scope=Scope.from_plain(plain["scope"]),
            head_ms=plain["head_ms"],
            slices=tuple(_slice(*values) for values in plain["slices"]),
            history=History(float(delivered), float(delayed), at_ms),
            incident=plain["incident"] and _incident(*plain["incident"]),
            armed_from_ms=plain["armed_from_ms"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"the state of a delay watch has another form: {type(error).__name__}"
        raise DataError("invalid_state", "", text) from error


def _plain(counted: Slice) -> list[int]:
    return [counted.at_ms, counted.delivered_count, counted.delayed_count]


def _slice(at_ms: int, delivered: int, delayed: int) -> Slice:
    return Slice(at_ms=at_ms, delivered_count=delivered, delayed_count=delayed)


def _incident(incident_id: str, started_ms: int, usual_rate: float, forgotten: list[int]) -> DelayIncident:
    return DelayIncident(
        incident_id=incident_id,
        started_ms=started_ms,
        usual_rate=usual_rate,
        forgotten=_slice(*forgotten),
    )
