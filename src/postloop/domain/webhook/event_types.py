"""The types of events that webhooks tell, and which of them whom they may concern."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

WebhookType = Literal[
    "email.delivered",
    "email.delayed",
    "email.bounced",
    "email.complained",
    "email.opened",
    "email.unsubscribed",
    "blocklist.inserted",
    "blocklist.expired",
    "reputation.changed",
    "delivery.alert",
    "webhook.endpoint_disabled",
]
WEBHOOK_TYPES: Final[tuple[WebhookType, ...]] = get_args(WebhookType)

ALL: Final = "all"
"""Asked for in place of types: every type but those of which there is one a message."""
NOT_IN_ALL: Final[frozenset[WebhookType]] = frozenset({"email.delivered", "email.opened"})
OPERATOR_TYPES: Final[frozenset[WebhookType]] = frozenset({"delivery.alert", "webhook.endpoint_disabled"})
"""What concerns the platform as a whole; everything else is some account's."""
TEST_TYPE: Final = "webhook.test"
"""Sent on request only, never asked for."""


def wanted_types(event_types: Iterable[str]) -> frozenset[str]:
    """Return the types that an endpoint hears of: those that it names, and what `all` means."""
    named = frozenset(event_types)
    return (named - {ALL}) | (set(WEBHOOK_TYPES) - NOT_IN_ALL) if ALL in named else named
