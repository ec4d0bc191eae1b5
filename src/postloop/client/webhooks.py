"""For programs that receive webhooks: is this one Postloop's, whole, and of now?"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from postloop.adapters.clock import utc_now
from postloop.adapters.webhook_keys import ed25519_is_valid
from postloop.domain.errors import PostloopError
from postloop.domain.webhook.signing import (
    ED25519_SIGNATURE_BYTES,
    ID_HEADER,
    PUBLIC_KEY_PREFIX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    secret_key,
    signatures_of,
)

TOLERANCE_S: Final = 300
MAX_SIGNATURES: Final = 32
_is_timestamp: Final = re.compile(r"[0-9]{1,11}").fullmatch


class WebhookError(PostloopError):
    """A request that must not be acted on; answer it with 400. Its text holds no secret and no signature."""


class HeaderMissingError(WebhookError):
    """One of the three headers is not there, or it is there twice: no webhook, or a proxy removed it."""


class HeaderInvalidError(WebhookError):
    """A header cannot be read."""


class TimestampError(WebhookError):
    """Signed too long ago or in the future: somebody sends an old request again, or a clock is wrong."""


class SignatureError(WebhookError):
    """No signature fits: another secret, or a body that is not the one that was sent."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request whose signature is right.

    Attributes:
        id: The same in every attempt at the same event; remember it to act once only.
        sent_at: The time of this attempt, not of the event.
        body: The bytes that were signed.
    """

    id: str
    sent_at: datetime
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON; `type`, `timestamp` and `data` for an event of Postloop.

        Raises:
            ValueError: The sender signed something else.
        """
        return json.loads(self.body)


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now: datetime | None = None,
) -> Webhook:
    """Return the webhook in a request, or raise.

    Args:
        headers: Of the request, names in any case.
        body: The bytes as they arrived. JSON that was parsed and written again has another signature.
        secrets: `whsec_...` of the endpoint, or `whpk_...` for ed25519; several while they are changed.
        tolerance_s: How far the time of the attempt may lie from now, both ways.
        now: An aware datetime; the clock's without.

    Raises:
        WebhookError: `HeaderMissingError`, `HeaderInvalidError`, `TimestampError` or `SignatureError`.
        DataError: A secret has not the form of one: the receiver is configured wrongly.
    """
    found = _three_headers(headers)
    message_id, sent_text, signatures = found[ID_HEADER], found[TIMESTAMP_HEADER], found[SIGNATURE_HEADER]
    if not _is_timestamp(sent_text):
        raise HeaderInvalidError(f"{TIMESTAMP_HEADER} is no number of seconds")
    # Before the dot is looked for: what was signed must be readable in one way only.
    if "." in message_id or not message_id.isascii():
        raise HeaderInvalidError(f"{ID_HEADER} holds a dot or a character that is not ASCII")
    sent_s = int(sent_text)
    age_s = (now or utc_now()).timestamp() - sent_s
    if not abs(age_s) <= tolerance_s:
        when = "ago" if age_s > 0 else "ahead"
        raise TimestampError(
            f"the request was signed {abs(age_s):.0f} s {when}: the limit is {tolerance_s:g} s"
        )
    content = b"%b.%b.%b" % (message_id.encode(), sent_text.encode(), body)
    known = [secrets] if isinstance(secrets, str) else secrets
    if not any(_fits(secret, signatures, content) for secret in known):
        raise SignatureError("no signature of the request fits a known secret")
    return Webhook(message_id, datetime.fromtimestamp(sent_s, UTC), body)


def _three_headers(headers: Mapping[str, str]) -> dict[str, str]:
    wanted = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    found: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in wanted and value:
            if lower in found:
                raise HeaderMissingError(f"the header {lower} is there twice")
            found[lower] = value
    for name in wanted:
        if name not in found:
            raise HeaderMissingError(f"the header {name} is missing")
    return found


def _fits(secret: str, header: str, content: bytes) -> bool:
    if secret.startswith(PUBLIC_KEY_PREFIX):
        given = [s for s in signatures_of(header, is_ed25519=True) if len(s) == ED25519_SIGNATURE_BYTES]
        return any(ed25519_is_valid(secret, signature=s, content=content) for s in given[:MAX_SIGNATURES])
    expected = hmac.digest(secret_key(secret), content, "sha256")
    given = signatures_of(header, is_ed25519=False)[:MAX_SIGNATURES]
    return any(hmac.compare_digest(expected, signature) for signature in given)
