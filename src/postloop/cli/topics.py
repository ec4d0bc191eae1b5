"""`postloop topics`: create the topics, show them, compare them with what is wanted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from postloop.adapters.topic_admin import NOT_TOLD, TopicReport, check_topics, create_topics
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, out, print_json, settings_for, stop

topics = typer.Typer(
    no_args_is_help=True, help="Create the Kafka topics, show them, compare them with what is wanted."
)


def register(app: typer.Typer) -> None:
    """Add `postloop topics`."""
    app.add_typer(topics, name="topics")


@topics.command()
def create(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Also add partitions and set configs of topics that exist already.")
    ] = False,
) -> None:
    """Create the topics that are missing. What exists is left as it is.

    Partitions, replicas and retention come from POSTLOOP_TOPIC_PARTITIONS, _REPLICATION and _RETENTION.

    Example: [bold]POSTLOOP_TOPIC_PARTITIONS=12 postloop topics create[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        reports = create_topics(settings, fix=fix)
    _show(reports, as_json=as_json)
    differing = [report for report in reports if report.status == "differs"]
    if differing and not as_json:
        err.print("\n".join(_sentences(differing)))
        err.print("[yellow]note:[/] left as they are; `postloop topics create --fix` adds what can be added")


@topics.command()
def describe(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show each topic: identity, partitions, replicas, retention, and how it differs from what is wanted.

    Example: [bold]postloop topics describe --json | jq -r .topic_id[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        reports = check_topics(settings)
    _show(reports, as_json=as_json)
    if not as_json:
        err.print("\n".join(_sentences(reports)), end="")


@topics.command()
def check(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Exit with 1 and the differences when a topic is missing or not as wanted.

    Example: [bold]postloop topics check && postloop worker recorder[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        reports = check_topics(settings)
    _show(reports, as_json=as_json)
    wrong = [report for report in reports if report.status in ("missing", "differs")]
    if wrong:
        raise stop("\n".join(_sentences(wrong)), Exit.NO)


def _sentences(reports: list[TopicReport]) -> list[str]:
    missing = [report.name for report in reports if report.status == "missing"]
    lines = [f"missing: {', '.join(missing)}; `postloop topics create` makes them"] if missing else []
    for report in reports:
        lines += [f"topic {report.name}: {difference}" for difference in report.differences]
    return lines


def _show(reports: list[TopicReport], *, as_json: bool) -> None:
    if as_json:
        for report in reports:
            print_json(as_document(report))
        return
    table = Table("topic", "partitions", "replicas", "retention", "largest record", "status", box=None)
    for report in reports:
        counts = (str(report.partitions or "-"), str(report.replication or "-"))
        table.add_row(
            report.name, *counts, _retention(report), _told(report, "max.message.bytes"), report.status
        )
    out.print(table)


def as_document(report: TopicReport) -> dict[str, Any]:
    """Return the JSON form of a report."""
    document = asdict(report)
    document["not_told"] = list(report.not_told)
    document["configs"] = {**report.configs, **dict.fromkeys(report.not_told, None)}
    return document


def _retention(report: TopicReport) -> str:
    if report.configs.get("cleanup.policy") == "compact":
        return "compacted"
    told = _told(report, "retention.ms")
    return f"{int(told) / 86_400_000:g}d" if told.isdigit() else told


def _told(report: TopicReport, config: str) -> str:
    return NOT_TOLD if config in report.not_told else report.configs.get(config, "-")
