"""What to do about a score: codes for programs, in the order in which they help."""

from __future__ import annotations

from typing import Final, Literal, get_args

from postloop.domain.reputation.counts import RefusalKind, WindowCounts
from postloop.domain.reputation.score import Factor, Score

Recommendation = Literal["none", "warn", "throttle", "pause", "resume"]
ActionCode = Literal[
    "pause",
    "throttle",
    "resume",
    "mail_willing_recipients",
    "unsubscribe_in_one_click",
    "remove_dead_addresses",
    "check_where_addresses_come_from",
    "fix_authentication",
    "change_content",
    "restore_standing",
    "watch_complaints",
    "watch_hard_bounces",
    "watch_refusals",
    "send_more",
    "nothing",
]
RECOMMENDATIONS: Final[tuple[Recommendation, ...]] = get_args(Recommendation)
ACTION_CODES: Final[tuple[ActionCode, ...]] = get_args(ActionCode)

_OF_RECOMMENDATION: Final[dict[Recommendation, ActionCode]] = {
    "pause": "pause",
    "throttle": "throttle",
    "resume": "resume",
}
_OF_REFUSAL: Final[dict[RefusalKind, ActionCode]] = {
    "authentication": "fix_authentication",
    "content": "change_content",
    "standing": "restore_standing",
}


def actions(found: Score, recommendation: Recommendation) -> tuple[ActionCode, ...]:
    """Return what to do, the most urgent first; never empty.

    First what becomes of the mail flow, then the cure of each factor that holds the score down (the weakest first),
    then what is only to be watched.
    """
    codes: list[ActionCode] = []
    if recommendation in _OF_RECOMMENDATION:
        codes.append(_OF_RECOMMENDATION[recommendation])
    for factor in found.factors:
        if factor.verdict in ("critical", "warning"):
            codes += _cures(factor, found.counts)
    codes += [_watched(factor) for factor in found.factors if factor.verdict == "watch"]
    if found.grade == "unknown":
        codes.append("send_more")
    return tuple(dict.fromkeys(codes)) or ("nothing",)


def _cures(factor: Factor, counts: WindowCounts) -> list[ActionCode]:
    if factor.name == "complaints":
        return ["mail_willing_recipients", "unsubscribe_in_one_click"]
    if factor.name == "hard_bounces":
        return ["remove_dead_addresses", "check_where_addresses_come_from"]
    # Unauthenticated mail is refused for its content and standing too, so at equal counts it comes first.
    kinds = sorted(_OF_REFUSAL, key=lambda kind: -counts.refusals_of(kind))
    return [_OF_REFUSAL[kind] for kind in kinds if counts.refusals_of(kind)]


def _watched(factor: Factor) -> ActionCode:
    if factor.name == "complaints":
        return "watch_complaints"
    return "watch_hard_bounces" if factor.name == "hard_bounces" else "watch_refusals"
