"""What a window counted of one sender, and which count is divided by which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final, Literal, get_args

from postloop.domain.bounce import FACTS, Reason
from postloop.domain.errors import DataError

FactorName = Literal["complaints", "hard_bounces", "refusals"]
RefusalKind = Literal["content", "authentication", "standing"]

FACTORS: Final[tuple[FactorName, ...]] = get_args(FactorName)
"""What decides a score; the order breaks ties."""

_CONTENT: Final[frozenset[Reason]] = frozenset({"spam_content", "content_rejected", "too_large"})
_AUTHENTICATION: Final[frozenset[Reason]] = frozenset({"auth_failure"})


def refusal_kind(reason: Reason) -> RefusalKind | None:
    """Return which remedy a final bounce for this reason asks for; None where the sender is not at fault.

    What is neither the message nor its authentication is the standing of the sender: blocked, against a policy, too
    fast.
    """
    if FACTS[reason].fault != "sender":
        return None
    if reason in _CONTENT:
        return "content"
    return "authentication" if reason in _AUTHENTICATION else "standing"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounts:
    """Events of one sender in one window; windows that do not overlap add up with `+`.

    Attributes:
        send_count: Mail that the platform accepted; of use only to Tencent's view, whose day is counted in sends.
        delivered_count: Deliveries.
        hard_bounce_count: Final bounces, hard.
        soft_bounce_count: Final bounces that are not hard, refusals among them. Deferrals are in no count.
        content_refusal_count: Final bounces for the sender's fault: the message (spam, content, size).
        authentication_refusal_count: The same: SPF, DKIM, DMARC.
        standing_refusal_count: The same: sender or address blocked, policy, too fast.
        complaint_count: Complaints of people whose mailbox provider reports complaints.
        reporting_delivered_count: Deliveries to such providers (`domain.providers.REPORTS_COMPLAINTS`).
        unsubscribe_count: Unsubscribes.
        rejected_count: Sends that the platform refused: no server ever judged them, so they are in no rate.
        suppressed_count: Sends that the sender's own list stopped: in no rate either.

    Raises:
        DataError: `out_of_range`, a count is negative or a part is larger than its whole.
    """

    send_count: int = 0
    delivered_count: int = 0
    hard_bounce_count: int = 0
    soft_bounce_count: int = 0
    content_refusal_count: int = 0
    authentication_refusal_count: int = 0
    standing_refusal_count: int = 0
    complaint_count: int = 0
    reporting_delivered_count: int = 0
    unsubscribe_count: int = 0
    rejected_count: int = 0
    suppressed_count: int = 0

    def __post_init__(self) -> None:
        # Half a million of these are made in one look at everybody: one comparison, and reasons only where it fails.
        is_negative = (
            min(
                self.send_count,
                self.delivered_count,
                self.hard_bounce_count,
                self.soft_bounce_count,
                self.content_refusal_count,
                self.authentication_refusal_count,
                self.standing_refusal_count,
                self.complaint_count,
                self.reporting_delivered_count,
                self.unsubscribe_count,
                self.rejected_count,
                self.suppressed_count,
            )
            < 0
        )
        if (
            is_negative
            or self.refusal_count > self.bounce_count
            or self.reporting_delivered_count > self.delivered_count
        ):
            self._refuse()

    def _refuse(self) -> None:
        for name in COUNT_NAMES:
            if getattr(self, name) < 0:
                raise DataError("out_of_range", name, f"{name} starts at 0: {getattr(self, name)}")
        _check_part("refusals", self.refusal_count, "final bounces", self.bounce_count)
        _check_part(
            "reporting_delivered_count",
            self.reporting_delivered_count,
            "delivered_count",
            self.delivered_count,
        )

    def __add__(self, other: WindowCounts) -> WindowCounts:
        return total((self, other))

    @property
    def bounce_count(self) -> int:
        """Final bounces."""
        return self.hard_bounce_count + self.soft_bounce_count

    @property
    def outcome_count(self) -> int:
        """Messages of which the outcome is known: deliveries and final bounces."""
        return self.delivered_count + self.bounce_count

    @property
    def refusal_count(self) -> int:
        """Final bounces for the sender's fault."""
        return self.content_refusal_count + self.authentication_refusal_count + self.standing_refusal_count

    @property
    def is_clean(self) -> bool:
        """Whether nothing was counted that could speak against the sender."""
        return not (self.complaint_count or self.hard_bounce_count or self.refusal_count)

    def refusals_of(self, kind: RefusalKind) -> int:
        """Return the refusals of one kind."""
        return {
            "content": self.content_refusal_count,
            "authentication": self.authentication_refusal_count,
            "standing": self.standing_refusal_count,
        }[kind]

    def share_of(self, factor: FactorName) -> tuple[int, int]:
        """Return the bad mails of a factor, and of how many (contracts: complaints over deliveries that could have
        brought one, bounces over outcomes)."""
        if factor == "complaints":
            return self.complaint_count, self.reporting_delivered_count
        bad = self.hard_bounce_count if factor == "hard_bounces" else self.refusal_count
        return bad, self.outcome_count


COUNT_NAMES: Final = tuple(field.name for field in fields(WindowCounts))


def total(counts: Iterable[WindowCounts]) -> WindowCounts:
    """Return the sum; nothing counted without any."""
    found = list(counts)
    if len(found) == 1:
        return found[0]
    return WindowCounts(**{name: sum([getattr(one, name) for one in found]) for name in COUNT_NAMES})


def _check_part(part: str, count: int, whole: str, limit: int) -> None:
    if count > limit:
        raise DataError("out_of_range", part, f"{part} cannot exceed {whole} ({limit}): {count}")
