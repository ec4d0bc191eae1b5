"""`python -m bench recovery`: how soon the recorder is back after a kill, and whether anything is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, out, stop, workplace, write
from bench.recovery import Kill, RecoveryPlan, measure_recovery
from bench.report import in_cell
from bench.stats import spread
from postloop.domain.errors import PostloopError


def register(app: typer.Typer) -> None:
    """Add `recovery`."""
    app.command()(recovery)


def recovery(
    rate: Annotated[int, typer.Option(min=1, help="Records a second.")] = 1000,
    kills: Annotated[int, typer.Option(min=1, help="How often the recorder is killed (SIGKILL).")] = 5,
    seed: Annotated[int, typer.Option(help="Of the workload and of the moments of the kills.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Kill the recorder under a steady load and start it again: python -m bench recovery --rate 1000 --kills 5

    Exit code 1: a record is missing or stored twice, or the recorder did not come back.
    """
    plan = RecoveryPlan(rate_per_s=rate, kill_count=kills, seed=seed)
    with workplace() as place:
        task = place.bar.add_task("kills", total=kills)
        seen: list[Kill] = []

        def show(kill: Kill) -> None:
            seen.append(kill)
            place.bar.update(task, completed=len(seen))
            place.say(
                f"kill {len(seen)}/{kills}  new rows after {kill.visible_s:.2f} s, "
                f"caught up after {kill.caught_up_s:.2f} s"
            )

        try:
            found = measure_recovery(plan, place.directory, on_kill=show)
        except PostloopError as error:
            raise stop(str(error), code=3) from None
    spreads = {
        name: spread([getattr(kill, name) for kill in found.kills]) for name in ("visible_s", "caught_up_s")
    }
    if found.kills:
        out.print(
            f"medians (smallest to largest): new rows after {in_cell(spreads['visible_s'], digits=2)} s, "
            f"caught up after {in_cell(spreads['caught_up_s'], digits=2)} s",
            highlight=False,
            soft_wrap=True,
        )
    if json_file:
        document = {"measured_at": datetime.now(UTC), "machine": facts.machine(), "rate_per_s": rate}
        write(json_file, {**document, "summary": spreads, **found.as_json()})
    if found.failure:
        raise stop(found.failure, code=1)
    out.print(f"all {found.record_count:,} records are stored, each once", highlight=False)
