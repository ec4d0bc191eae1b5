"""What an open rate says, by the class of the mail: against a fixed line, or against the domain's own history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from postloop.domain.errors import DataError
from postloop.domain.event_types import MailClass
from postloop.domain.intervals import Z_95, Interval, wilson
from postloop.domain.opens.history import Trend

OpenVerdict = Literal[
    "healthy", "low", "probably_spam", "no_fault", "steady", "fallen", "risen", "uncertain", "not_enough_data"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPolicy:
    """The lines of contracts.

    Attributes:
        healthy_rate: Transactional mail (sign-up, verification, receipts) is healthy from here on.
        spam_rate: Marketing below this probably lands in spam.
        max_blind_rate: Where more of the deliveries cannot be seen, the rest speaks for too few.
        min_visible_count: Deliveries that can be seen.
        z: How sure a verdict is: the whole interval must lie on one side of the line. Two-sided 95 %.
    """

    healthy_rate: float = 0.80
    spam_rate: float = 0.50
    max_blind_rate: float = 0.5
    min_visible_count: int = 100
    z: float = Z_95


DEFAULT_OPEN_POLICY: Final = OpenPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCounts:
    """What `v_open_rate` counts of one domain and class; messages, each once per recipient.

    Opens may be of mail that was delivered before the window, so more may be opened than was delivered; the rates
    are then capped at 1. Counted by cohorts of the sending time that cannot be.

    Attributes:
        human_count: Opened by a person.
        raw_count: Opened by anybody, proxies and scanners included.
        blind_count: Deliveries whose opens cannot be seen: to Apple mail, and not opened by a person.

    Raises:
        DataError: a count is negative, or more deliveries are blind than there are.
    """

    mail_class: MailClass
    delivered_count: int
    human_count: int
    raw_count: int
    blind_count: int

    def __post_init__(self) -> None:
        if min(self.delivered_count, self.human_count, self.raw_count, self.blind_count) < 0:
            raise DataError("out_of_range", "", "counts of opens start at 0")
        if self.blind_count > self.delivered_count:
            text = f"blind_count is at most delivered_count ({self.delivered_count}): {self.blind_count}"
            raise DataError("out_of_range", "blind_count", text)

    @property
    def visible_count(self) -> int:
        """Deliveries whose opens can be seen."""
        return self.delivered_count - self.blind_count


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReport:
    """A verdict with everything it rests on; rates are None without a delivery that they are of.

    Attributes:
        human_rate: Opened by a person / delivered: what the views call open_rate.
        raw_rate: Opened by anybody / delivered.
        blind_rate: Share of the deliveries that nobody can see.
        visible_rate: Opened by a person / deliveries that can be seen: what is judged.
        interval: What the visible rate may be.
        line_rate: The line of the class; None where the history is the measure, or nothing.
    """

    mail_class: MailClass
    verdict: OpenVerdict
    human_rate: float | None
    raw_rate: float | None
    blind_rate: float | None
    visible_rate: float | None
    interval: Interval
    line_rate: float | None


def judge_opens(
    counts: OpenCounts, policy: OpenPolicy = DEFAULT_OPEN_POLICY, *, trend: Trend = "unknown"
) -> OpenReport:
    """Return what the opens say.

    Judged is the rate among deliveries that can be seen, as if readers of the others opened as often. An Apple
    mailbox read in another program counts as seen only when it was opened, which flatters the rate a little: by the
    share of such opens, at most.

    Args:
        trend: For notifications: what `OpenHistory.trend` says of the domain and class.
    """
    interval = wilson(counts.human_count, counts.visible_count, z=policy.z)
    line_rate = _line(counts.mail_class, policy)
    return OpenReport(
        mail_class=counts.mail_class,
        verdict=_verdict(counts, interval, line_rate, policy, trend=trend),
        human_rate=_rate(counts.human_count, counts.delivered_count),
        raw_rate=_rate(counts.raw_count, counts.delivered_count),
        blind_rate=_rate(counts.blind_count, counts.delivered_count),
        visible_rate=_rate(counts.human_count, counts.visible_count),
        interval=interval,
        line_rate=line_rate,
    )


def _line(mail_class: MailClass, policy: OpenPolicy) -> float | None:
    match mail_class:
        case "transactional":
            return policy.healthy_rate
        case "marketing":
            return policy.spam_rate
        case _:
            return None


def _verdict(
    counts: OpenCounts, interval: Interval, line_rate: float | None, policy: OpenPolicy, *, trend: Trend
) -> OpenVerdict:
    if (
        counts.visible_count < policy.min_visible_count
        or counts.blind_count > policy.max_blind_rate * counts.delivered_count
    ):
        return "not_enough_data"
    if line_rate is None:
        # Mail of an unknown class has no measure: a low rate of alarms is healthy, the same of receipts is not.
        return "not_enough_data" if counts.mail_class == "unknown" or trend == "unknown" else trend
    above, below = _SIDES[counts.mail_class]
    if interval.low >= line_rate:
        return above
    return below if interval.high < line_rate else "uncertain"


_SIDES: Final[dict[MailClass, tuple[OpenVerdict, OpenVerdict]]] = {
    "transactional": ("healthy", "low"),
    "marketing": ("no_fault", "probably_spam"),
}


def _rate(above: int, below: int) -> float | None:
    return min(above / below, 1.0) if below else None
