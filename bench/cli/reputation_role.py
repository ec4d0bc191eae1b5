"""`python -m bench reputation-role`: one look at every sender domain."""

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
    looks: Annotated[int, typer.Option(min=1)] = 3,
    json_file: JsonFile = None,
) -> None:
    """Measure how long the role takes to judge everybody, and its memory beside ClickHouse's."""
    found: list[Look] = []

    def done(look: Look) -> None:
        found.append(look)
        out.print(
            f"{look.senders:,} senders in {look.total_s:.1f} s ({look.asked_s:.1f} s ClickHouse, "
            f"{look.decided_s:.1f} s deciding), {look.changes:,} changes; "
            f"{look.role_mb:.0f} MB, ClickHouse {look.clickhouse_mb:.0f} MB",
            highlight=False,
        )

    with workplace() as place:
        measure(place.directory, domain_count=domains, event_count=events, looks=looks, on_done=done)
    if json_file:
        write(json_file, {"machine": facts.machine(), "looks": [look._asdict() for look in found]})
