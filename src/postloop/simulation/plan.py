"""What a simulation is asked for: the same plan gives the same bytes and the same truth."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final, Literal

from postloop.domain.errors import PostloopError

KeyMode = Literal["recipient", "none"]

MAX_EVENTS: Final = 100_000_000
MAX_LATE_S: Final = 72 * 3600
"""A late event happened at most this long before its turn."""
SHARES: Final = ("duplicates", "invalid", "late", "out_of_order", "machine_opens", "array_share")


class PlanError(PostloopError):
    """A simulation was asked for that cannot be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One simulation.

    Attributes:
        events: Distinct valid events. Repeats and invalid records come on top.
        start_ms, span_ms: Event time covers [start, start + span), late events excepted; milliseconds.
        duplicates: Repeats per event. invalid: Dead letters to be, per event.
        late: Share of messages whose events happened up to 72 h before their turn.
        out_of_order: Share of events written up to 5 minutes after their turn.
        machine_opens: Share of delivered messages whose image is fetched by a machine, on average.
        array_share: Share of recipients whose events travel in arrays.
        key: `recipient` sends a repeat to the partition of the original, `none` to another one.
    """

    events: int
    seed: int
    start_ms: int
    span_ms: int
    domains: int = 40
    accounts: int = 12
    duplicates: float = 0.01
    invalid: float = 0.005
    late: float = 0.05
    out_of_order: float = 0.05
    machine_opens: float = 0.15
    array_share: float = 0.1
    key: KeyMode = "recipient"

    def __post_init__(self) -> None:
        if not 1 <= self.events <= MAX_EVENTS:
            raise PlanError(f"events must be between 1 and {MAX_EVENTS}: {self.events}")
        if self.span_ms < 1_000:
            raise PlanError(f"span must be at least 1s: {self.span_ms} ms")
        if not 1 <= self.accounts <= self.domains:
            raise PlanError(
                f"accounts must be between 1 and the number of domains ({self.domains}): {self.accounts}"
            )
        for name in SHARES:
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise PlanError(f"{name} is a share between 0 and 1: {share}")

    @property
    def end_ms(self) -> int:
        """The first moment after the simulated time."""
        return self.start_ms + self.span_ms

    @property
    def run(self) -> str:
        """Eight hex digits that name this plan: other plans do not share event ids or accounts with it."""
        return hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=4).hexdigest()

    @property
    def event_id_prefix(self) -> str:
        """How every event id of the run begins; eight hex digits, counted from 0, follow."""
        return f"sim-{self.run}-"

    @property
    def key_prefix(self) -> str:
        """How the keys of invalid records begin; 12 characters, so that Base64 keeps them as a prefix."""
        return f"sim-{self.run}"

    def account(self, number: int) -> str:
        """Return the id of an account; the run is in it, so that runs never share a row of a rollup."""
        return f"acct-{self.run}-{number:03d}"


def check_times(plan: Plan, *, now_ms: int, retention: timedelta) -> None:
    """Refuse a plan whose valid events the recorder would refuse.

    Raises:
        PlanError: The time is older than the raw retention, or more than 24 hours ahead.
    """
    margin_ms = 3_600_000
    late_ms = MAX_LATE_S * 1000 if plan.late else 0
    retention_ms = int(retention.total_seconds() * 1000)
    if plan.start_ms - late_ms < now_ms - retention_ms + margin_ms:
        raise PlanError(
            f"the simulated time starts before the raw retention of {retention.days}d"
            + (f" (late events reach {MAX_LATE_S // 3600}h further back)" if late_ms else "")
            + ": choose a later --start"
        )
    if plan.end_ms > now_ms + 24 * 3_600_000 - margin_ms:
        raise PlanError(
            "the simulated time ends more than 23h ahead: choose an earlier --start or a shorter --span"
        )
