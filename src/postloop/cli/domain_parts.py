"""A sender domain's mail by its parts, drawn: by mailbox provider, by pool, and on Tencent's levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from postloop.cli.common import printable
from postloop.domain.reputation import FACTORS

_TITLES: Final = {"complaints": "complaints", "hard_bounces": "hard bounces", "refusals": "refusals"}


def show_parts(title: str, said: Sequence[dict[str, Any]], console: Console) -> None:
    """Draw the parts as a table, nothing where there is one at most."""
    if len(said) < 2:
        return
    table = Table(title, "grade", "score", "mails", *_TITLES.values(), box=None, padding=(0, 1))
    for part in said:
        name = part["name"] + (f" ({part['kind']})" if part["kind"] else "")
        table.add_row(
            escape(printable(name)),
            part["grade"],
            "" if part["score"] is None else f"{part['score']:.1f}",
            f"{part['outcome_count']:,}",
            *(_percent(part["rates"][factor]["rate"]) for factor in FACTORS),
        )
    console.print(table)


def show_tencent(said: dict[str, Any], console: Console) -> None:
    """Draw what Tencent's rule says of yesterday."""
    console.print(
        f"Tencent's level: {said['level']} ({said['daily_cap']:,} mails a day), {said['outcome']} "
        f"(to {said['next_level']}) after yesterday"
    )
    for failed in said["failed"]:
        console.print(f"- {failed['text']}")


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate * 100:.2f} %"
