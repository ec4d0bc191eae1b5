"""Entries of the blocklist for a person at a terminal, and as rows of tables and exports."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from postloop.adapters.blocklist_report import advice, headline, meaning
from postloop.adapters.blocklist_rows import EntryRow


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
    lines = [headline(entry), f"  why: {meaning(entry)}"]
    if entry["smtp_text"]:
        lines.append(f"  evidence: {entry['smtp_text']}")
    if entry["rule"]:
        lines.append(f"  rule: {entry['rule']} ({entry['rule_version']})")
    if entry["starts_at"]:
        lines.append(f"  since: {entry['starts_at']}, listed {entry['inserted_at']}")
    if entry.get("cause_account_ids"):
        lines.append(f"  caused by accounts: {', '.join(entry['cause_account_ids'])}")
    lines.append(f"  what to do: {advice(entry, contact=contact, account=account)}")
    return lines


def _minute(text: str | None) -> str:
    return text[:16].replace("T", " ") if text else ""
