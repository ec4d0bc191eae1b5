"""What an endpoint must look like. Where its address may lead is another question (`addresses`)."""

from __future__ import annotations

import re
from typing import Final, get_args

from postloop.domain.errors import DataError
from postloop.domain.event_types import MailClass
from postloop.domain.webhook.addresses import parse_networks
from postloop.domain.webhook.endpoint import Endpoint, Header, RecipientOption
from postloop.domain.webhook.event_types import ALL, OPERATOR_TYPES, WEBHOOK_TYPES
from postloop.domain.webhook.target import parse_target

MAX_HEADER_COUNT: Final = 20
MAX_HEADER_CHARS: Final = 1_024
MAX_CONCURRENCY: Final = 100
MAX_RATE_PER_S: Final = 10_000.0
MAX_DOMAIN_COUNT: Final = 1_000
MAX_NETWORK_COUNT: Final = 20
_RECIPIENT_OPTIONS: Final[tuple[str, ...]] = get_args(RecipientOption)
_MAIL_CLASSES: Final[tuple[str, ...]] = get_args(MailClass)

_is_header_name: Final = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"
).fullmatch  # token, RFC 9110 section 5.6.2
# Visible ASCII with blanks inside: no CR or LF, which would begin another header (RFC 9110 section 5.5).
_is_header_value: Final = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?").fullmatch
_is_plain_url: Final = re.compile(r"[!-~]+").fullmatch
# Connection management (RFC 9110 section 7.6.1), the frame of the request, and what Postloop says itself.
# Authorization is the customer's to set: many receivers ask for it.
_RESERVED_HEADERS: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "accept-encoding",
        "expect",
        "user-agent",
    }
)
_RESERVED_PREFIX: Final = "webhook-"


def check_endpoint(endpoint: Endpoint) -> None:
    """Accept a well-formed endpoint.

    Raises:
        DataError: The first thing that is wrong, with the field that holds it. No text shows a secret or the value
            of a header.
    """
    _check_url(endpoint.url)
    _check_types(endpoint)
    _check_filters(endpoint)
    _check_headers(endpoint.headers)
    _check_limits(endpoint)
    _at_most(MAX_NETWORK_COUNT, len(endpoint.allowed_networks), "allowed_networks")
    parse_networks(endpoint.allowed_networks)


def _check_url(url: str) -> None:
    """Accept a URL that the sender reads as well: two readings of one URL are how requests get past a guard."""
    if not _is_plain_url(url):
        raise DataError(
            "url_chars", "url", "the URL must be visible ASCII without blanks: names in their xn-- form"
        )
    parse_target(url)


def _check_types(endpoint: Endpoint) -> None:
    if not endpoint.event_types:
        raise DataError("missing", "event_types", "event_types must name at least one type, or all")
    unknown = sorted(endpoint.event_types - {ALL, *WEBHOOK_TYPES})
    if unknown:
        raise DataError("unknown_type", "event_types", f"{unknown[0]!r} is no type of event")
    foreign = sorted(endpoint.event_types - {ALL} - OPERATOR_TYPES)
    if endpoint.is_operator and foreign:
        raise DataError(
            "not_for_operator",
            "event_types",
            f"{foreign[0]} is told to accounts only; an operator hears of {' and '.join(sorted(OPERATOR_TYPES))}",
        )


def _check_filters(endpoint: Endpoint) -> None:
    filters = endpoint.filters
    _at_most(MAX_DOMAIN_COUNT, len(filters.sender_domains), "sender_domains")
    if "" in filters.sender_domains:
        raise DataError("empty", "sender_domains", "a sender domain must not be empty")
    unknown = sorted(filters.mail_classes - set(_MAIL_CLASSES))
    if unknown:
        raise DataError("unknown_value", "mail_classes", f"{unknown[0]!r} is no mail class")
    if filters.final_failures_only and "email.delayed" in endpoint.event_types:
        raise DataError(
            "contradiction",
            "final_failures_only",
            "email.delayed is asked for and final_failures_only leaves it out",
        )


def _check_headers(headers: tuple[Header, ...]) -> None:
    _at_most(MAX_HEADER_COUNT, len(headers), "headers")
    names = [header.name.lower() for header in headers]
    for header, name in zip(headers, names, strict=True):
        if not _is_header_name(header.name):
            raise DataError("bad_header", "headers", f"no name of a header: {header.name[:64]!r}")
        if name in _RESERVED_HEADERS or name.startswith(_RESERVED_PREFIX):
            raise DataError(
                "reserved_header", "headers", f"the header {header.name} is set by Postloop or the connection"
            )
        if len(header.value) > MAX_HEADER_CHARS or not _is_header_value(header.value):
            raise DataError(
                "bad_header",
                "headers",
                f"the value of {header.name} must be 1 to {MAX_HEADER_CHARS} visible ASCII characters on one line",
            )
    if len(set(names)) < len(names):
        raise DataError("repeated", "headers", "a header is given twice")


def _check_limits(endpoint: Endpoint) -> None:
    if not 0 <= endpoint.rate_limit_per_s <= MAX_RATE_PER_S:  # NaN fails too
        raise DataError(
            "out_of_range",
            "rate_limit_per_s",
            f"rate_limit_per_s is from 0 (no limit) to {MAX_RATE_PER_S:.0f}: {endpoint.rate_limit_per_s}",
        )
    if not 1 <= endpoint.concurrency <= MAX_CONCURRENCY:
        raise DataError(
            "out_of_range",
            "concurrency",
            f"concurrency is from 1 to {MAX_CONCURRENCY}: {endpoint.concurrency}",
        )
    if endpoint.recipient not in _RECIPIENT_OPTIONS:
        raise DataError(
            "unknown_value", "recipient", f"recipient is clear, masked or hashed: {endpoint.recipient!r}"
        )


def _at_most(limit: int, count: int, field: str) -> None:
    if count > limit:
        raise DataError("too_many", field, f"{field} has more than {limit} elements: it has {count}")
