"""What is known of an address on the blocklist, as the platform sees it and as an account may."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from postloop.adapters.blocklist_rows import EntryRow, HistoryRow
from postloop.contracts.fields import rfc3339
from postloop.domain.blocklist import GLOBAL
from postloop.domain.bounce import FACTS
from postloop.domain.message import Channel
from postloop.domain.message.texts import UNBLOCK

_HIDDEN: Final = "Another account's mail caused this."
_CAUSES: Final = {
    "complaint": "The recipient reported mail of this sender domain as spam.",
    "unsubscribe": "The recipient unsubscribed from this sender domain.",
    "manual": "Somebody blocked it by hand.",
}


def others_domains(rows: Iterable[EntryRow], account: str) -> set[str]:
    """Return the sender domains for which others' mail alone blocks: who sends from one may see that it is blocked."""
    return {
        row.scope
        for row in rows
        if row.scope != GLOBAL and row.is_active and account not in row.cause_account_ids
    }


def seen_by(row: EntryRow, account: str, *, owned: Collection[str] = ()) -> dict[str, Any] | None:
    """Return an entry as an account may see it, or whole for the platform (no account); None: it may not.

    An account sees its own causes, and that an address is blocked by others as well, never whose: the reason is shown
    only where its own mail is among the causes, the words of the server only where no other's is. What others blocked
    for a sender domain exists only for those that send from it.

    Args:
        owned: Sender domains from which the account sends, of `others_domains` at least.
    """
    known: dict[str, Any] = {
        "scope": row.scope,
        "recipient": row.recipient,
        "recipient_form": row.recipient_form,
        "is_active": row.is_active,
        "reason": row.reason,
        "mailbox_provider": row.mailbox_provider,
        "starts_at": _text(row.starts_at),
        "inserted_at": _text(row.inserted_at),
        "expires_at": _text(row.expires_at),
        "entry_id": row.entry_id,
        "smtp_text": row.smtp_text,
        "rule": row.rule,
        "rule_version": row.rule_version,
        "source_event_ids": list(row.source_event_ids),
        "last_delivery_at": _text(row.last_delivery_at),
    }
    if not account:
        return {**known, "cause_account_ids": list(row.cause_account_ids)}
    is_own = account in row.cause_account_ids
    others = row.is_active and (not is_own or len(row.cause_account_ids) > 1)
    if not is_own and row.scope != GLOBAL and row.scope not in owned:
        return None
    if not is_own:
        if not row.is_active:
            return None
        known.update(reason="", entry_id="")
    if others:  # the evidence may be another account's mail
        known.update(smtp_text="", rule="", rule_version="", source_event_ids=[], last_delivery_at=None)
    return {**known, "own_cause": is_own, "blocked_by_others": others}


def report(
    recipient: str, entries: Sequence[dict[str, Any]], changes: Sequence[HistoryRow], *, now: datetime
) -> dict[str, Any]:
    """Return all that is known of an address as one document."""
    blocking = [entry for entry in entries if _blocks(entry, now)]
    return {
        "recipient": recipient,
        "blocked": bool(blocking),
        "entries": blocking,
        "history": [
            {
                "at": _text(change.at),
                "change": change.change,
                "cause": change.cause,
                "scope": change.scope,
                "reason": change.reason,
                "entry_id": change.entry_id,
                "expires_at": _text(change.expires_at),
                "event_id": change.event_id,
            }
            for change in changes
        ],
    }


def headline(entry: dict[str, Any]) -> str:
    """Return for whom and until when an entry blocks, in a sentence."""
    for_whom = "every sender" if entry["scope"] == GLOBAL else f"mail from {entry['scope']}"
    until = f"until {entry['expires_at']}" if entry["expires_at"] else "without end"
    return f"{entry['recipient']} is blocked for {for_whom}, {until}."


def meaning(entry: dict[str, Any]) -> str:
    """Return why, with the reason as programs spell it in front."""
    reason = entry["reason"]
    return f"{reason}: {explanation(entry)}" if reason else explanation(entry)


def explanation(entry: dict[str, Any]) -> str:
    """Return why in a sentence; empty for a reason that no release knows."""
    reason = entry["reason"]
    if not reason:
        return _HIDDEN
    return _CAUSES.get(reason) or (FACTS[reason].meaning if reason in FACTS else "")


def advice(entry: dict[str, Any], *, contact: str, account: str, channel: Channel = "command_line") -> str:
    """Return what to do next.

    Args:
        contact: How an operator is reached.
        account: Who asks; empty: an operator.
        channel: Over which a block is lifted. A consent is given over the command line only: no route takes it.
    """
    reached = f" ({contact})" if contact else ""
    operator, unblock = f"an operator{reached}", UNBLOCK[channel]
    if entry["reason"] in ("complaint", "unsubscribe"):
        if channel == "command_line":
            return f"send nothing; a new opt-in of the recipient (`postloop blocklist opt-in`) or {operator} ends it."
        begin = (
            "send nothing; a new opt-in of the recipient ends it, once the operator of the sending platform"
        )
        return (
            f"{begin}{reached} has confirmed it{'' if account else f'; so does `{unblock}` of an operator'}."
        )
    if account and (entry["blocked_by_others"] or not entry["own_cause"]):
        begin = "wait for the end, or" if entry["expires_at"] else "send nothing, or"
        return f"{begin} ask {operator}: only an operator lifts what another account caused."
    if entry["reason"] == "manual":
        return f"`{unblock}` ends it."
    return (
        f"make sure that the address is right and works again, then `{unblock}`; "
        "another bounce blocks it anew."
    )


def _blocks(entry: dict[str, Any], now: datetime) -> bool:
    if not entry["is_active"]:
        return False
    expires_at = entry["expires_at"]
    return expires_at is None or datetime.fromisoformat(expires_at) > now


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
