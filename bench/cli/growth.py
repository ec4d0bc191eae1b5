"""`python -m bench growth`: the recorder over more domains, partitions, stored rows and remembered ids."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from bench import facts, registry, report, stack
from bench.cli.common import JsonFile, Timeout, Workplace, out, recent_hour, stop, workplace, write
from bench.cli.rounds import line, loaded_bench, with_bar
from bench.growth import AXES, STORED_ROWS, Case, Run, Setup, cases_of, names_of, setups_of, summary, table
from bench.history import History
from bench.running import Bench, run_once
from bench.templates import Template, make_template
from bench.workload import Plan
from postloop.domain.errors import PostloopError

_POSTLOOP = registry.VARIANTS[report.BASE]


def register(app: typer.Typer) -> None:
    """Add `growth`."""
    app.command()(growth)


def growth(
    rounds: Annotated[int, typer.Option(min=1, help="How often each case runs, in turn.")] = 3,
    events: Annotated[int, typer.Option(min=1000, help="Records in the topics.")] = 400_000,
    axes: Annotated[str, typer.Option(help=f"Comma separated; default: {','.join(AXES)}.")] = "",
    stored_rows: Annotated[
        int, typer.Option(min=1000, help="Rows stored before a run, in the largest case.")
    ] = STORED_ROWS,
    timeout_s: Timeout = 300.0,
    json_file: JsonFile = None,
) -> None:
    """Run the recorder over what grows, in interleaved rounds: python -m bench growth --axes domains,partitions

    Exit code 1: a run failed.
    """
    plan = Plan(event_count=events, start_at=recent_hour())
    try:
        cases = cases_of(registry.chosen_names(axes, AXES), plan, stored_rows=stored_rows)
    except PostloopError as error:
        raise stop(str(error), code=2) from None
    with workplace() as place:
        try:
            runs = _rounds(cases, place, rounds=rounds, timeout_s=timeout_s)
        except PostloopError as error:
            raise stop(str(error), code=3) from None
    out.print(table(runs, cases))
    failures = [run for run in runs if run.result.figures is None]
    for setup, result in failures:
        text = f"{names_of(setup, cases)}, round {result.round_number + 1}, failed: {result.failure}"
        out.print(text, style="red", markup=False, soft_wrap=True)
    if json_file:
        write(
            json_file,
            {
                "measured_at": datetime.now(UTC),
                "machine": facts.machine(),
                "versions": facts.package_versions([_POSTLOOP]),
                "summary": summary(runs, cases),
                "runs": [{"cases": names_of(run.setup, cases), **run.result.as_json()} for run in runs],
            },
        )
    if failures:
        raise typer.Exit(1)


def _rounds(cases: list[Case], place: Workplace, *, rounds: int, timeout_s: float) -> list[Run]:
    setups, runs = setups_of(cases), list[Run]()
    with ExitStack() as cleanup:
        benches = _benches(setups, place, cleanup, timeout_s=timeout_s)
        for number in range(rounds):
            for setup in registry.rotated(setups, number):
                name = names_of(setup, cases)
                with with_bar(benches[setup], place, f"round {number + 1}/{rounds} {name}") as watched:
                    runs.append(Run(setup, run_once(watched, _POSTLOOP, round_number=number)))
                place.say(line(runs[-1].result, f"{name:<35}"))
    return runs


def _benches(
    setups: list[Setup], place: Workplace, cleanup: ExitStack, *, timeout_s: float
) -> dict[Setup, Bench]:
    """Load one broker for each workload and fill one template for each number of rows; both stay for all rounds."""
    loaded: dict[Plan, Bench] = {}
    templates: dict[int, Template | None] = {0: None}
    for setup in setups:
        if setup.plan not in loaded:
            directory = place.directory / f"broker-{len(loaded)}"
            directory.mkdir()
            brokers = cleanup.enter_context(stack.broker(directory, partitions=setup.plan.partition_count))
            loaded[setup.plan], _ = loaded_bench(setup.plan, brokers, place, timeout_s=timeout_s)
        if setup.stored_rows not in templates:
            templates[setup.stored_rows] = _filled(setup, place)
    return {
        setup: replace(
            loaded[setup.plan], template=templates[setup.stored_rows], settings=dict(setup.settings)
        )
        for setup in setups
    }


def _filled(setup: Setup, place: Workplace) -> Template:
    history = History(
        row_count=setup.stored_rows,
        end_at=datetime.now(UTC),
        domain_count=setup.plan.domain_count,
        partition_count=setup.plan.partition_count,
    )
    title = f"storing {history.row_count:,} rows"
    task = place.bar.add_task(title, total=history.row_count)

    def show(rows: int) -> None:
        merging = ", merging" if rows == history.row_count else ""
        place.bar.update(task, completed=rows, description=title + merging)

    template = make_template(history, place.directory / f"stored-{history.row_count}", on_rows=show)
    place.bar.remove_task(task)
    return template
