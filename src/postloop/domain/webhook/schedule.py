"""What an answer to an attempt means, and when the next attempt is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal, get_args

from postloop.domain.errors import DataError

ErrorClass = Literal[
    "",
    "redirect",
    "gone",
    "throttled",
    "client_error",
    "server_error",
    "bad_status",
    "timeout",
    "connect_failed",
    "connection_lost",
    "tls",
    "bad_answer",
    "dns_not_found",
    "dns_failed",
    "forbidden_address",
    "internal",
]
"""Why an attempt failed; empty: it did not.

dns_not_found is the receiver's fault, dns_failed (no resolver answered) and internal are ours. forbidden_address is
the guard's refusal: trying again is useless.
"""
ERROR_CLASSES: Final[tuple[ErrorClass, ...]] = get_args(ErrorClass)

# Standard Webhooks 1.0, "Deliverability and reliability": ten attempts in 75:35:05.
DELAYS_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MAX_ATTEMPTS: Final = len(DELAYS_S)

_OURS: Final[frozenset[ErrorClass]] = frozenset({"dns_failed", "internal"})
_PERMANENT: Final[frozenset[ErrorClass]] = frozenset({"gone", "forbidden_address"})
# Who is too busy gets a minute at least.
_BUSY: Final[frozenset[ErrorClass]] = frozenset({"throttled", "timeout"})
_MAY_SAY_WHEN: Final = (429, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers of the schedule.

    Attributes:
        jitter_rate: What is added to a delay at most, as a fraction of it. Only added: a retry is never early.
        least_jitter_s: The span of the addition for short delays.
        most_jitter_s: And for long ones.
        busy_s: The shortest wait after 429 and after a timeout.
        longest_retry_after_s: What a receiver may ask for at most.
    """

    delays_s: tuple[int, ...] = DELAYS_S
    jitter_rate: float = 0.1
    least_jitter_s: float = 2.0
    most_jitter_s: float = 900.0
    busy_s: float = 60.0
    longest_retry_after_s: float = 36_000.0


DEFAULT_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one attempt.

    Attributes:
        status: Of the response; 0: there was none.
        error: Why no response came; empty where one did.
        retry_after: The header as it came, empty where there was none.
    """

    status: int = 0
    error: ErrorClass = ""
    retry_after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What becomes of a delivery after an attempt.

    Attributes:
        due_ms: When the next attempt is due; only for `retry`.
        counts: Whether the failure speaks against the endpoint: ours does not.
        disables: The receiver says that it is gone.
    """

    outcome: Literal["done", "retry", "dead"]
    error: ErrorClass
    due_ms: int = 0
    counts: bool = False
    disables: bool = False


def judge(
    answer: Answer, *, attempt: int, now_ms: int, jitter: float, policy: Policy = DEFAULT_POLICY
) -> Judgement:
    """Return what becomes of a delivery after its attempt number `attempt`, counted from 1.

    Args:
        jitter: A random number in [0, 1).

    Raises:
        DataError: `out_of_range`, no such attempt or no such random number.
    """
    if attempt < 1 or not 0 <= jitter < 1:
        raise DataError(
            "out_of_range", "attempt", f"attempts start at 1, jitter is in [0, 1): {attempt}, {jitter}"
        )
    error = error_class(answer)
    if not error:
        return Judgement(outcome="done", error=error)
    counts = error not in _OURS
    if error in _PERMANENT or attempt >= len(policy.delays_s):
        return Judgement(outcome="dead", error=error, counts=counts, disables=error == "gone")
    wait_s = _wait_s(answer, error, policy.delays_s[attempt], now_ms, policy)
    wait_s += jitter * min(max(wait_s * policy.jitter_rate, policy.least_jitter_s), policy.most_jitter_s)
    due_ms = now_ms + math.ceil(wait_s * 1000)
    return Judgement(outcome="retry", error=error, due_ms=due_ms, counts=counts)


def error_class(answer: Answer) -> ErrorClass:
    """Return why an attempt failed. Only 200 to 299 is success; a redirect is not followed, so it is a failure."""
    status = answer.status
    if answer.error:
        return answer.error
    if 200 <= status <= 299:
        return ""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    by_hundred: dict[int, ErrorClass] = {3: "redirect", 4: "client_error", 5: "server_error"}
    return by_hundred.get(status // 100, "bad_status")


_BY_STATUS: Final[dict[int, ErrorClass]] = {410: "gone", 429: "throttled"}


def retry_after_s(text: str, *, now_ms: int) -> float | None:
    """Return the seconds that `Retry-After` asks for (RFC 9110 section 10.2.3), decimals allowed.

    None for what is no number of seconds and no date; a date that has passed is 0.
    """
    try:
        seconds = float(text)
    except ValueError:
        return _until_s(text, now_ms)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _until_s(text: str, now_ms: int) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _wait_s(answer: Answer, error: ErrorClass, base_s: float, now_ms: int, policy: Policy) -> float:
    """Return the wait without jitter: the schedule's, or longer where there is a reason."""
    least_s = max(base_s, policy.busy_s) if error in _BUSY else base_s
    asked_s = retry_after_s(answer.retry_after, now_ms=now_ms) if answer.status in _MAY_SAY_WHEN else None
    return max(least_s, min(asked_s or 0.0, policy.longest_retry_after_s))
