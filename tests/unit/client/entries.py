"""Records of `blocklist.state` and what is read from them."""

import hashlib
import hmac
import json
from typing import Any

from postloop.client.records import Change, Listed

ENTRY_ID = "6f2c1a52-0f5c-5b0e-9d7e-0d4c1c1b2a3f"
NOW_MS = 1_800_000_000_000
KEY = b"postloop-test-key"


def hashed(canonical: str) -> str:
    """Return the hashed form of a canonical address under KEY."""
    return hmac.new(KEY, canonical.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def state_event(**fields: Any) -> dict[str, Any]:
    """Return the value of a record as the blocklist role writes it."""
    return {
        "schema_version": 1,
        "event_id": "0d3b8c55-2b57-5a7e-8a6d-5f2f6f1f7c11",
        "entry_id": ENTRY_ID,
        "change": "inserted",
        "scope": "global",
        "recipient": "ada@example.com",
        "recipient_form": "clear",
        "mailbox_provider": "",
        "reason": "user_unknown",
        "cause_account_ids": ["acme"],
        "evidence": {"source_event_ids": ["e1"], "smtp_text": "no such user", "rule": "", "rule_version": ""},
        "starts_at": "2026-11-25T10:00:00.000Z",
        "inserted_at": "2026-11-25T10:00:01.000Z",
        "changed_at": "2026-11-25T10:00:01.000Z",
        "expires_at": "2026-12-09T10:00:00.000Z",
        **fields,
    }


def record(scope: str, recipient: str, **fields: Any) -> tuple[bytes, bytes]:
    """Return key and value of a record."""
    event = state_event(scope=scope, recipient=recipient, **fields)
    return f"{scope}|{recipient}".encode("utf-8", "surrogatepass"), json.dumps(event).encode()


def blocked(scope: str, recipient: str, **fields: Any) -> Change:
    """Return a change that blocks, without an end unless told otherwise."""
    listed = {"reason": "user_unknown", "expires_ms": None, "entry_id": ENTRY_ID, "is_hashed": False}
    return Change(scope, recipient, Listed(**{**listed, **fields}))


def released(scope: str, recipient: str) -> Change:
    """Return a change that releases."""
    return Change(scope, recipient, None)
