"""Entries of the blocklist as people and programs see them, and as an account may."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from postloop.adapters.blocklist_store import EntryRow, LogRow
from postloop.contracts.fields import rfc3339
from postloop.domain.blocklist import GLOBAL
from postloop.domain.bounce import FACTS

_HIDDEN = "another account's mail caused this"


def seen_by(row: EntryRow, account: str) -> dict[str, Any] | None:
    """Return an entry as an account may see it, or whole for the platform (no account).

    An account sees its own causes, and that an address is blocked by others as well, never whose: the reason and
    the words of the server are shown only where its own mail caused the block.
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
    if not is_own and row.scope != GLOBAL:
        return None
    if not is_own:
        if not row.is_active:
            return None
        known.update(reason="", entry_id="")
    if others:  # the evidence may be another account's mail
        known.update(smtp_text="", rule="", rule_version="", source_event_ids=[], last_delivery_at=None)
    return {**known, "own_cause": is_own, "blocked_by_others": others}


def report(
    recipient: str, entries: Sequence[dict[str, Any]], changes: Sequence[LogRow], *, now: datetime
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


def print_report(found: dict[str, Any], out: Console, *, contact: str, account: str) -> None:
    """Print a report for a person: the answer first, then the evidence, then what to do."""
    if not found["blocked"]:
        out.print(f"{escape(found['recipient'])} is not blocked.")
    for entry in found["entries"]:
        for line in _sentences(entry, contact=contact, account=account):
            out.print(escape(line))
        out.print("")
    if found["history"]:
        out.print("history, the newest first:")
    for change in found["history"]:
        why = change["cause"] or change["reason"]
        until = (
            f", until {change['expires_at']}"
            if change["change"] != "expired" and change["expires_at"]
            else ""
        )
        out.print(escape(f"  {change['at']}  {change['change']:8}  {change['scope']}  {why}{until}"))


def cells(entry: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return an entry as a row of a table."""
    return (
        entry["recipient"],
        entry["scope"],
        entry["reason"] or "(another account's)",
        _minute(entry["starts_at"]),
        _minute(entry["expires_at"]) or "for good",
    )


def columns(row: EntryRow) -> dict[str, Any]:
    """Return an entry as a row of an export."""
    return {
        "recipient": row.recipient,
        "scope": row.scope,
        "reason": row.reason,
        "starts_at": row.starts_at,
        "inserted_at": row.inserted_at,
        "expires_at": row.expires_at,
        "entry_id": row.entry_id,
        "recipient_form": row.recipient_form,
    }


def _sentences(entry: dict[str, Any], *, contact: str, account: str) -> list[str]:
    for_whom = "every sender" if entry["scope"] == GLOBAL else f"mail from {entry['scope']}"
    until = f"until {entry['expires_at']}" if entry["expires_at"] else "without end"
    lines = [f"{entry['recipient']} is blocked for {for_whom}, {until}."]
    lines.append(f"  why: {_meaning(entry)}")
    if entry["smtp_text"]:
        lines.append(f"  evidence: {entry['smtp_text']}")
    if entry["rule"]:
        lines.append(f"  rule: {entry['rule']} ({entry['rule_version']})")
    if entry["starts_at"]:
        lines.append(f"  since: {entry['starts_at']}, listed {entry['inserted_at']}")
    if entry.get("cause_account_ids"):
        lines.append(f"  caused by accounts: {', '.join(entry['cause_account_ids'])}")
    lines.append(f"  what to do: {_advice(entry, contact=contact, account=account)}")
    return lines


def _meaning(entry: dict[str, Any]) -> str:
    reason = entry["reason"]
    if not reason:
        return _HIDDEN
    words = {
        "complaint": "The recipient reported mail of this sender domain as spam.",
        "unsubscribe": "The recipient unsubscribed from this sender domain.",
        "manual": "Somebody blocked it by hand.",
    }
    meaning = words.get(reason) or (FACTS[reason].meaning if reason in FACTS else "")
    return f"{reason}: {meaning}"


def _advice(entry: dict[str, Any], *, contact: str, account: str) -> str:
    operator = f"an operator{f' ({contact})' if contact else ''}"
    if entry["reason"] in ("complaint", "unsubscribe"):
        return f"send nothing; a new opt-in of the recipient (`postloop blocklist opt-in`) or {operator} ends it."
    if account and (entry["blocked_by_others"] or not entry["own_cause"]):
        return f"wait for the end, or ask {operator}: only an operator lifts what another account caused."
    if entry["reason"] == "manual":
        return "`postloop blocklist unblock` ends it."
    return (
        "make sure that the address is right and works again, then `postloop blocklist unblock`; "
        "another bounce blocks it anew."
    )


def _blocks(entry: dict[str, Any], now: datetime) -> bool:
    if not entry["is_active"]:
        return False
    expires_at = entry["expires_at"]
    return expires_at is None or datetime.fromisoformat(expires_at) > now


def _minute(text: str | None) -> str:
    return text[:16].replace("T", " ") if text else ""


def _text(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
