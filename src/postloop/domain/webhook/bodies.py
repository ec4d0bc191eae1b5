"""The body of a webhook: the same bytes at every attempt, and nothing in it that its receiver may not know."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from postloop.domain.errors import DataError
from postloop.domain.recipient import without_addresses
from postloop.domain.webhook.endpoint import Endpoint
from postloop.domain.webhook.notice import Notice

MAX_BODY_BYTES: Final = 262_144
BATCH_TYPE: Final = "batch"
MAX_BATCH_COUNT: Final = 100
MAX_BATCH_BYTES: Final = MAX_BODY_BYTES
# What no account is told, wherever a source puts it.
_NEVER: Final = frozenset({"cause_account_ids", "source_event_ids", "evidence"})
# Texts of servers, which like to repeat the address they refuse, and what was said to them ("RCPT TO:<...>").
_QUOTING: Final = frozenset({"diagnostic", "smtp_response", "smtp_text", "smtp_command", "remote_host"})
# Shorter ones are part of too many words; of a single letter little is left to hide.
_SHORTEST_INSIDE_CHARS: Final = 3
_SHORTEST_QUOTED_CHARS: Final = 2
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Encode = Callable[[Mapping[str, Any]], bytes]


def plain_json(value: Mapping[str, Any]) -> bytes:
    """Return JSON without blanks in UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return _encode(value).encode("utf-8", "replace")


def body_of(notice: Notice, endpoint: Endpoint, *, encode: Encode = plain_json) -> bytes:
    """Return the body that tells a notice to an endpoint: `{"type","timestamp","data":{...}}`, UTF-8.

    Args:
        encode: Must return what `plain_json` returns, in less time.

    Raises:
        DataError: `too_large`, it would have more than 256 kB.
    """
    is_hidden = endpoint.recipient != "clear" and notice.recipient_form == "clear"
    data: dict[str, Any] = {
        "schema_version": 1,
        "event_id": notice.event_id,
        "account_id": _account_of(notice, endpoint),
        "occurred_at": time_text(notice.occurred_ms),
    }
    optional = {"sender_domain": notice.sender_domain, "mail_class": notice.mail_class}
    data |= {name: value for name, value in optional.items() if value}
    if notice.recipient:
        data["recipient"], data["recipient_form"] = _shown(notice, endpoint)
    for name, value in notice.data.items():
        if name not in _NEVER and name not in data:
            quotes = is_hidden and name in _QUOTING
            data[name] = _without_recipient(str(value), notice.recipient) if quotes else value
    body = encode({"type": notice.type, "timestamp": data["occurred_at"], "data": data})
    if len(body) > MAX_BODY_BYTES:
        raise DataError("too_large", "", f"a body has at most {MAX_BODY_BYTES} bytes: {len(body)}")
    return body


def batch_body(members: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the body of several webhooks in one request.

    Args:
        members: Id and body of each, in the order in which they are told. The id is that of the event for this
            endpoint, by which a receiver knows a repeat.
    """
    events = b",".join(b'{"webhook_id":"' + name.encode() + b'",' + body[1:] for name, body in members)
    last = max(json.loads(body)["timestamp"] for _, body in members)
    head = f'{{"type":"{BATCH_TYPE}","timestamp":"{last}","data":{{"events":['.encode()
    return head + events + b"]}}"


def hashed(recipient: str, *, hash_key: str) -> str:
    """Return the HMAC-SHA256 of an address in hexadecimal, under an endpoint's key (hexadecimal)."""
    return hmac.digest(bytes.fromhex(hash_key), recipient.encode("utf-8", "surrogatepass"), "sha256").hex()


def masked(recipient: str) -> str:
    """Return an address of which the domain and the first letter are left: `j***@example.org`."""
    local, at, domain = recipient.rpartition("@")
    return f"{local[:1]}***{at}{domain}" if at else "***"


def time_text(at_ms: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 in UTC."""
    at_s, part_ms = divmod(at_ms, 1000)
    return f"{_second_text(at_s)}.{part_ms:03d}Z"


@lru_cache(maxsize=1_024)  # events come in the order of time, many of one second
def _second_text(at_s: int) -> str:
    return (_EPOCH + timedelta(seconds=at_s)).isoformat().removesuffix("+00:00")


def _account_of(notice: Notice, endpoint: Endpoint) -> str | None:
    if endpoint.account_id is not None:
        return endpoint.account_id
    return notice.account_ids[0] if len(notice.account_ids) == 1 else None


def _shown(notice: Notice, endpoint: Endpoint) -> tuple[str, str]:
    """Return the recipient and its form. What the source has hashed already stays as it is."""
    if notice.recipient_form != "clear" or endpoint.recipient == "clear":
        return notice.recipient, notice.recipient_form
    if endpoint.recipient == "masked":
        return masked(notice.recipient), "masked"
    return hashed(notice.recipient, hash_key=endpoint.hash_key), "hmac-sha256"


def _without_recipient(text: str, recipient: str) -> str:
    hidden = without_addresses(text)
    local = recipient.rpartition("@")[0]
    if len(local) < _SHORTEST_QUOTED_CHARS:
        return hidden
    inside = re.escape(local)
    wanted = inside if len(local) >= _SHORTEST_INSIDE_CHARS else rf"(?<!\w){inside}(?!\w)"
    return re.sub(wanted, "***", hidden, flags=re.IGNORECASE)
