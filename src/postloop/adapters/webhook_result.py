"""What came of one attempt: the answer, or why there is none."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Final, Literal

from postloop.adapters.webhook_connection import ConnectFailedError, ForbiddenAddressError, TlsFailedError
from postloop.adapters.webhook_exchange import BadAnswerError, ConnectionLostError
from postloop.adapters.webhook_lookup import LookupFailedError

TransportError = Literal[
    "",
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
"""Why there is no whole answer. dns_failed and internal are our fault, forbidden_address is final."""

FAILURES: Final = (
    ForbiddenAddressError,
    LookupFailedError,
    ConnectFailedError,
    TlsFailedError,
    BadAnswerError,
    ConnectionLostError,
    OSError,
    ValueError,
)
"""All that an attempt may end with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of one attempt.

    Attributes:
        status: Of the answer; 0: none came.
        error: Why there is no whole answer; empty: there is one, and its status decides.
        reason: The same in words, for the customer. Shows no address, no secret and no URL.
        retry_after: The header as it came, empty where there was none.
        latency_ms: From the call to the end of the attempt.
        answer: What was read of the answer's body, as it came over the wire.
        is_cut: Whether more of it was to come.
    """

    status: int = 0
    error: TransportError = ""
    reason: str = ""
    retry_after: str = ""
    latency_ms: float = 0.0
    answer: bytes = field(default=b"", repr=False)
    is_cut: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the receiver has it: a whole answer with 200 to 299."""
        return not self.error and 200 <= self.status <= 299


def classified(failure: Exception) -> tuple[TransportError, str]:
    """Return class and words for a failure. The texts of libraries are not shown: they hold addresses."""
    if isinstance(failure, ForbiddenAddressError):
        return ("dns_not_found" if failure.verdict.code == "no_address" else "forbidden_address"), str(
            failure
        )
    if isinstance(failure, LookupFailedError):
        return ("dns_not_found" if failure.is_final else "dns_failed"), str(failure)
    if isinstance(failure, TimeoutError):
        return "timeout", "no whole answer came in time"
    if isinstance(failure, TlsFailedError):
        return "tls", _tls_reason(str(failure))
    if isinstance(failure, ConnectFailedError):
        return "connect_failed", _connect_reason(failure.number)
    if isinstance(failure, BadAnswerError):
        return "bad_answer", "the answer is no HTTP, or its headers are too large"
    if isinstance(failure, ConnectionLostError | OSError):
        return "connection_lost", "the connection was closed before the answer was whole"
    return "internal", "the request could not be made"


def _tls_reason(text: str) -> str:
    if "mismatch" in text:
        return "the certificate is made for another host"
    if "expired" in text:
        return "the certificate has expired"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the certificate is not trusted"
    return "the TLS handshake failed"


def _connect_reason(number: int | None) -> str:
    if number == errno.ECONNREFUSED:
        return "the connection was refused"
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "the host cannot be reached"
    return "no connection could be made"
