"""For programs around Postloop: ask the blocklist before each message, check the webhooks that arrive."""

from postloop.client.answers import Stats
from postloop.client.blocklist import AsyncBlocklist, Blocklist
from postloop.client.errors import NotReady, Stale
from postloop.client.view import BlockedBy
from postloop.client.webhooks import (
    HeaderInvalidError,
    HeaderMissingError,
    SignatureError,
    TimestampError,
    Webhook,
    WebhookError,
    verify_webhook,
)

__all__ = [
    "AsyncBlocklist",
    "BlockedBy",
    "Blocklist",
    "HeaderInvalidError",
    "HeaderMissingError",
    "NotReady",
    "SignatureError",
    "Stale",
    "Stats",
    "TimestampError",
    "Webhook",
    "WebhookError",
    "verify_webhook",
]
