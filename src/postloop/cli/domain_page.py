"""The health of a sender domain as a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from postloop.domain.reputation import grade_text

_BARS: Final = "▁▂▃▄▅▆▇█"
_STYLES: Final = {"high": "green", "medium": "yellow", "low": "dark_orange", "bad": "red", "unknown": "dim"}


def show(said: dict[str, Any], console: Console) -> None:
    """Draw a document."""
    grade = said["grade"]
    points = "" if said["score"] is None else f" {said['score']:.1f}"
    name = f"{said['sender_domain']} of {said['account_id']}"
    console.print(f"[bold]{escape(name)}[/]  [{_STYLES[grade]}]{grade}{points}[/]  {grade_text(grade)}")
    if said["recommendation"] != "none":
        console.print(f"recommended: [bold]{said['recommendation']}[/]")
    console.print(_rate_table(said["rates"]))
    for action in said["actions"]:
        console.print(f"- {action['text']}")
    for opens in said["opens"]:
        console.print(f"opens, {opens['mail_class']}: {opens['text']}")
    for pool in said["pools"]:
        if pool["verdict"] not in ("none", "not_enough_data"):
            console.print(f"pool {escape(pool['ip_pool'])} ({pool['kind']}): {pool['text']}")
    for latency in said["delivery_time"]:
        console.print(
            f"to {latency['mailbox_provider']}: half within {latency['p50_s']:.1f} s, 95 % within "
            f"{latency['p95_s']:.1f} s, {_percent(latency['delayed_rate'])} later than 5 minutes"
        )
    for title, key in (
        ("delivered", "delivered_count"),
        ("hard bounces", "hard_bounce_count"),
        ("complaints", "complaint_count"),
    ):
        counts = [day[key] for day in said["days"]]
        console.print(f"{title:>13} {sparkline(counts)} {sum(counts):,}")


def show_list(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Draw senders as a table."""
    table = Table(
        "grade", "score", "account", "domain", "complaints", "hard bounces", "refusals", "advice", box=None
    )
    for row in rows:
        table.add_row(
            f"[{_STYLES[row['grade']]}]{row['grade']}[/]",
            "" if row["score"] is None else f"{row['score']:.1f}",
            escape(row["account_id"]),
            escape(row["sender_domain"]),
            *(
                _interval(row[f"{n}_rate"], row[f"{n}_low"], row[f"{n}_high"])
                for n in ("complaint", "hard_bounce", "refusal")
            ),
            "" if row["recommendation"] == "none" else row["recommendation"],
        )
    console.print(table)


def sparkline(counts: Sequence[int]) -> str:
    """Return one bar a number: the highest is full, nothing is a space."""
    most = max(counts, default=0)
    return "".join(" " if not count else _BARS[(count * (len(_BARS) - 1)) // most] for count in counts)


def _rate_table(rates: dict[str, Any]) -> Table:
    table = Table("rate", *rates, box=None)
    for name in next(iter(rates.values())):
        cells = (rates[window][name] for window in rates)
        table.add_row(name.replace("_", " "), *(_interval(c["rate"], c["low"], c["high"]) for c in cells))
    return table


def _interval(rate: float | None, low: float, high: float) -> str:
    return "no mail" if rate is None else f"{_percent(rate)} ({_percent(low)} to {_percent(high)})"


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate * 100:.2f} %"
