"""`python -m bench reputation-role`: looks at every sender domain, and at those with news."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, out, workplace, write
from bench.reputation_role import Look, measure


def register(app: typer.Typer) -> None:
    """Add `reputation-role`."""
    app.command("reputation-role")(reputation_role)


def reputation_role(
    domains: Annotated[int, typer.Option(min=1, help="Sender domains with mail.")] = 100_000,
    events: Annotated[int, typer.Option(min=1, help="Events that the rollups hold.")] = 10_000_000,
    looks: Annotated[int, typer.Option(min=1, help="Looks of each kind.")] = 3,
    news: Annotated[float, typer.Option(min=0, max=1, help="Share of the domains that have news.")] = 0.01,
    json_file: JsonFile = None,
) -> None:
    """Measure what it costs the role to judge everybody, and those with news; its memory beside ClickHouse's."""
    found: list[Look] = []

    def done(look: Look) -> None:
        found.append(look)
        out.print(
            f"{look.kind}: {look.senders:,} senders in {look.total_s:.2f} s ({look.asked_s:.2f} s ClickHouse, "
            f"{look.decided_s:.2f} s deciding, {look.cpu_s:.2f} s of processors), {look.changes:,} changes; "
            f"{look.role_mb:.0f} MB, ClickHouse {look.clickhouse_mb:.0f} MB",
            highlight=False,
        )

    with workplace() as place:
        measure(
            place.directory,
            domain_count=domains,
            event_count=events,
            looks=looks,
            news_share=news,
            on_done=done,
        )
    if json_file:
        write(json_file, {"machine": facts.machine(), "looks": [look._asdict() for look in found]})
