"""Endpoints: where an account, or the operator, wants to be told what, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from postloop.domain.webhook.event_types import wanted_types

EndpointState = Literal["active", "paused", "disabled"]
DisableCause = Literal["", "failing", "gone", "operator"]
RecipientOption = Literal["clear", "masked", "hashed"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
RECOVERY_MS: Final = 14 * DAY_MS
"""How long what could not be delivered is kept for `recover since`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A key that deliveries are signed with. Never logged: its representation leaves the value out.

    Attributes:
        value: As the receiver knows it, `whsec_` and base64.
        valid_until_ms: When it signs no more, in milliseconds since 1970; None: until it is rotated.
    """

    value: str = field(repr=False)
    valid_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of the customer's own. Its value may be a password."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which events of the wanted types an endpoint hears of; an empty set lets everything through.

    An event that lacks the property a filter asks about (an alert for the whole platform has no sender domain)
    passes it.

    Attributes:
        sender_domains: Compared exactly.
        mail_classes: Of `email.*` events.
        final_failures_only: Nothing of mail that is still retried (`email.delayed`).
    """

    sender_domains: frozenset[str] = frozenset()
    mail_classes: frozenset[str] = frozenset()
    final_failures_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint as it stands after its last change.

    Attributes:
        account_id: Whose it is; None: the operator's.
        event_types: As asked for: names of types, or `all`.
        secrets: The newest first; deliveries are signed with all that are valid.
        hash_key: Key of the recipients' HMAC-SHA256, in hexadecimal; stays when secrets are rotated.
        rate_limit_per_s: Attempts a second; 0: no limit.
        concurrency: Attempts at the same time.
        recipient: In which form addresses are told.
        is_batched: Several events in one request.
        allowed_networks: Private ranges (CIDR) that the operator opened for this endpoint.
        cause: Why it is disabled, else empty.
        state_ms: When the state began.
        version: Counts the changes from 1.
    """

    endpoint_id: str
    account_id: str | None
    url: str
    event_types: frozenset[str]
    secrets: tuple[Secret, ...]
    hash_key: str = field(repr=False)
    created_ms: int
    state_ms: int
    filters: Filters = Filters()
    headers: tuple[Header, ...] = ()
    rate_limit_per_s: float = 0.0
    concurrency: int = 20
    recipient: RecipientOption = "clear"
    is_batched: bool = False
    allowed_networks: tuple[str, ...] = ()
    state: EndpointState = "active"
    cause: DisableCause = ""
    version: int = 1

    @property
    def is_operator(self) -> bool:
        """Whether it is the operator's and no account's."""
        return self.account_id is None

    @property
    def wanted_types(self) -> frozenset[str]:
        """The types that it hears of."""
        return wanted_types(self.event_types)

    def signing_secrets(self, *, now_ms: int) -> tuple[str, ...]:
        """Return the values to sign with at a moment, the newest first; never empty for a valid endpoint."""
        return tuple(
            secret.value
            for secret in self.secrets
            if secret.valid_until_ms is None or secret.valid_until_ms > now_ms
        )
