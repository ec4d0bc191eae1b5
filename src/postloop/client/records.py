"""What a record of `blocklist.state` says, as far as a sender needs it."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from postloop.contracts.blocklist import RecipientForm, split_state_key
from postloop.contracts.fields import OptionalTime, milliseconds


class Listed(NamedTuple):
    """An entry; `expires_ms` since 1970, None: it has no end of itself."""

    reason: str
    expires_ms: int | None
    entry_id: str
    is_hashed: bool


class Change(NamedTuple):
    """The last word on a scope and a recipient; `listed` None: released."""

    scope: str
    recipient: str
    listed: Listed | None


class _StateV1(BaseModel):
    """The fields of an insert event that decide; others may be missing, and new ones may come."""

    model_config = ConfigDict(extra="ignore")

    recipient_form: RecipientForm
    expires_at: OptionalTime
    reason: str = ""
    entry_id: str = ""


def read_record(key: bytes | None, value: bytes | None) -> Change | None:
    """Return what a record says, None when it cannot be read; never raises."""
    try:
        text = (key or b"").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    scope, recipient = split_state_key(text)
    if not scope or not recipient:
        return None
    if value is None:
        return Change(scope, recipient, None)
    try:
        state = _StateV1.model_validate_json(value)
    except ValidationError:
        return None
    expires_ms = None if state.expires_at is None else milliseconds(state.expires_at)
    is_hashed = state.recipient_form != "clear"
    return Change(scope, recipient, Listed(state.reason, expires_ms, state.entry_id, is_hashed))
