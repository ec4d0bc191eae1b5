"""Answers to commands that never reach the owner of an address."""

from __future__ import annotations

import json

from postloop.contracts.blocklist import BlocklistReplyV1
from postloop.contracts.fields import MAX_EVENT_ID_CHARS


def refusal(command_id: str, code: str, text: str) -> BlocklistReplyV1:
    """Return the answer that refuses a command."""
    return BlocklistReplyV1(command_id=command_id, outcome="refused", code=code, text=text)


def command_id_of(value: bytes | None) -> str:
    """Return the id of a command that is otherwise invalid, empty when it has none that could be answered to."""
    try:
        command_id = json.loads(value or b"").get("command_id")
    except (ValueError, AttributeError, RecursionError):
        return ""
    usable = isinstance(command_id, str) and 0 < len(command_id) <= MAX_EVENT_ID_CHARS
    return command_id if usable else ""
