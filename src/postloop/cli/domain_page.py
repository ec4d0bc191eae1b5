"""The health of a sender domain as a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from postloop.cli.common import printable
from postloop.cli.domain_parts import show_parts, show_tencent
from postloop.domain.reputation import grade_text
from postloop.domain.reputation.score import RANK

_LIST_TITLES: Final = ("grade", "score", "account", "domain", "complaints", "hard", "refused", "advice")
_NAMES: Final = slice(2, 4)
_SHORTEST_NAME: Final = 8
_SERIES: Final = (
    ("delivered", "delivered_count"),
    ("hard bounces", "hard_bounce_count"),
    ("complaints", "complaint_count"),
)
# From here on there is room for intervals.
_WIDE: Final = 150
_BARS: Final = "▁▂▃▄▅▆▇█"
_STYLES: Final = {"high": "green", "medium": "yellow", "low": "dark_orange", "bad": "red", "unknown": "dim"}


def show(said: dict[str, Any], console: Console) -> None:
    """Draw a document."""
    _show_standing(said, console)
    console.print(_rate_table(said["rates"]))
    for action in said["actions"]:
        console.print(f"- {action['text']}")
    show_parts("with", said["mailbox_providers"], console)
    show_parts("over pool", said["ip_pools"], console)
    if said["tencent"] is not None:
        show_tencent(said["tencent"], console)
    for opens in said["opens"]:
        console.print(f"opens, {opens['mail_class']}: {opens['text']}")
    if said["open_history"] is not None:
        days = [day["human_count"] for day in said["open_history"]["days"]]
        console.print(f"{'opened':>13} {sparkline(days)} notifications by day of sending")
    for pool in said["pools"]:
        if pool["verdict"] not in ("none", "not_enough_data"):
            console.print(f"pool {_plain(pool['ip_pool'])} ({pool['kind']}): {pool['text']}")
    for latency in said["delivery_time"]:
        console.print(
            f"to {latency['mailbox_provider']}: half within {latency['p50_s']:.1f} s, 95 % within "
            f"{latency['p95_s']:.1f} s, {_percent(latency['delayed_rate'])} later than 5 minutes"
        )
    # Of all accounts together days are not read: to show none would say that nothing was sent.
    for title, key in _SERIES if said["series"] else ():
        counts = [day[key] for day in said["days"]]
        console.print(f"{title:>13} {sparkline(counts)} {sum(counts):,}")


def show_list(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Draw senders as a table of one line each: with intervals where there is room, long names cut."""
    is_wide = console.width >= _WIDE
    cells = [
        (
            row["grade"],
            "" if row["score"] is None else f"{row['score']:.1f}",
            printable(row["account_id"]),
            printable(row["sender_domain"]),
            *(_share(row, name, is_wide=is_wide) for name in ("complaint", "hard_bounce", "refusal")),
            "" if row["recommendation"] == "none" else row["recommendation"],
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(_LIST_TITLES, *cells, strict=True)]
    room = max(console.width - sum(widths) + sum(widths[_NAMES]) - len(widths), 2 * _SHORTEST_NAME)
    account_width = min(widths[_NAMES][0], max(room - widths[_NAMES][1], room // 3))
    widths[_NAMES] = [account_width, min(widths[_NAMES][1], room - account_width)]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for title, width in zip(_LIST_TITLES, widths, strict=True):
        table.add_column(title, no_wrap=True, overflow="ellipsis", max_width=width)
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(f"[{_STYLES[row['grade']]}]{row['grade']}[/]", *map(escape, texts[1:]))
    console.print(table)


def sparkline(counts: Sequence[int]) -> str:
    """Return one bar a number: the highest is full, nothing is a space."""
    most = max(counts, default=0)
    return "".join(" " if not count else _BARS[(count * (len(_BARS) - 1)) // most] for count in counts)


def _show_standing(said: dict[str, Any], console: Console) -> None:
    grade = said["grade"]
    points = "" if said["score"] is None else f" {said['score']:.1f}"
    name = f"{said['sender_domain']} of {said['account_id'] or 'all accounts'}"
    console.print(f"[bold]{_plain(name)}[/]  [{_STYLES[grade]}]{grade}{points}[/]  {grade_text(grade)}")
    if _is_held(said):
        console.print(
            f"held: its mail of now would be {said['grade_by_counts']}; a grade rises after clean days only"
        )
    if said["recommendation"] != "none":
        console.print(f"recommended: [bold]{said['recommendation']}[/]")


def _is_held(said: dict[str, Any]) -> bool:
    """Return whether a worse grade is said than the mail of now would give."""
    grade, by_counts = said["grade"], said["grade_by_counts"]
    return "unknown" not in (grade, by_counts) and RANK[by_counts] > RANK[grade]


def _plain(text: str) -> str:
    return escape(printable(text))


def _rate_table(rates: dict[str, Any]) -> Table:
    table = Table("rate", *rates, box=None)
    for name in next(iter(rates.values())):
        cells = (rates[window][name] for window in rates)
        table.add_row(name.replace("_", " "), *(_interval(c["rate"], c["low"], c["high"]) for c in cells))
    return table


def _share(row: dict[str, Any], name: str, *, is_wide: bool) -> str:
    rate, low, high = (row[f"{name}_{part}"] for part in ("rate", "low", "high"))
    return _interval(rate, low, high) if is_wide else _percent(rate)


def _interval(rate: float | None, low: float, high: float) -> str:
    return "no mail" if rate is None else f"{_percent(rate)} ({_percent(low)} to {_percent(high)})"


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate * 100:.2f} %"
