"""`postloop doctor`: is everything there that Postloop needs, and what to do where it is not."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import typer
from rich.markup import escape
from rich.table import Table

from postloop.adapters.clickhouse import connect, translated
from postloop.adapters.installed import installed_version
from postloop.adapters.kafka_admin import admin_client
from postloop.adapters.migrations import check_schema
from postloop.adapters.settings_check import check_settings
from postloop.adapters.topic_admin import check_topics
from postloop.cli.common import AsJson, DataDir, Exit, out, print_json
from postloop.domain.errors import PostloopError
from postloop.settings import Settings, load_settings, running_stack

_OLDEST_PYTHON: Final = (3, 11)
# An event more than 24 h ahead is refused; long before that, windows that end "now" miss what was just stored.
_MAX_SKEW_S: Final = 5.0


@dataclass(frozen=True)
class Finding:
    """What one check found; `todo` says what helps where it is not ok."""

    check: str
    ok: bool
    found: str
    todo: str = ""


def register(app: typer.Typer) -> None:
    """Add `postloop doctor`."""
    app.command()(doctor)


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check Python, settings, broker, topics, ClickHouse, its schema and the clocks. Exits with 1 if one is wrong.

    Example: [bold]postloop doctor --data-dir ./demo[/]
    """
    findings = []
    for finding in examine(data_dir):
        findings.append(finding)
        if as_json:
            print_json(asdict(finding))
    if not as_json:
        _show(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.NO)


def examine(data_dir: Path | None) -> Iterator[Finding]:
    """Yield what each check finds, in the order in which one needs the other."""
    yield _python()
    try:
        settings = load_settings(data_dir=data_dir)
        check_settings(settings)
    except PostloopError as error:
        yield Finding(
            "settings", False, str(error), "`postloop config` and docs/configuration.md list all settings"
        )
        return
    yield Finding("settings", True, _where(settings))
    yield from _kafka(settings)
    yield from _clickhouse(settings)


def _python() -> Finding:
    found = f"Python {platform.python_version()}, postloop {installed_version()}"
    is_new = sys.version_info >= _OLDEST_PYTHON
    return Finding("python", is_new, found, "" if is_new else "install Python 3.11 or newer")


def _where(settings: Settings) -> str:
    stack = f", stack of {settings.data_dir}" if running_stack(settings.data_dir) else ""
    return f"Kafka at {settings.kafka_brokers}, ClickHouse at {settings.clickhouse_url}{stack}"


def _kafka(settings: Settings) -> Iterator[Finding]:
    broker = _tried(
        "broker", lambda: _broker(settings), "start it, `postloop up`, or set POSTLOOP_KAFKA_BROKERS"
    )
    yield broker
    if broker.ok:
        yield _tried(
            "topics", lambda: _topics(settings), "give the user the right to describe topics (docs/kafka.md)"
        )


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    server = _tried(
        "clickhouse", lambda: _server(settings), "start it, `postloop up`, or set POSTLOOP_CLICKHOUSE_URL"
    )
    yield server
    if server.ok:
        yield _tried("schema", lambda: _schema(settings), "run `postloop migrate`")
        yield _tried("clock", lambda: _clock(settings), "")


def _tried(check: str, run: Callable[[], Finding], todo: str) -> Finding:
    try:
        found = run()
        return replace(found, todo="") if found.ok else found
    except PostloopError as error:
        return Finding(check, False, str(error), todo)


def _broker(settings: Settings) -> Finding:
    with admin_client(settings) as client:
        brokers = client.describe_cluster()["brokers"]
    return Finding("broker", bool(brokers), f"{len(brokers)} broker(s) at {settings.kafka_brokers}")


def _topics(settings: Settings) -> Finding:
    reports = check_topics(settings)
    missing = [report.name for report in reports if report.status == "missing"]
    if missing:
        return Finding("topics", False, f"missing: {', '.join(missing)}", "run `postloop topics create`")
    differing = [report.name for report in reports if report.status == "differs"]
    if differing:
        found = f"not as wanted: {', '.join(differing)}"
        return Finding(
            "topics", False, found, "`postloop topics check` tells how; `postloop topics create --fix`"
        )
    return Finding("topics", True, f"{len(reports)} as wanted")


def _server(settings: Settings) -> Finding:
    version = connect(settings).server_version
    return Finding("clickhouse", True, f"{version} at {settings.clickhouse_url}")


def _schema(settings: Settings) -> Finding:
    problems = check_schema(connect(settings), settings)
    return Finding(
        "schema", not problems, "; ".join(problems) or "as this release needs it", "run `postloop migrate`"
    )


def _clock(settings: Settings) -> Finding:
    client = connect(settings)
    asked_s = time.time()
    with translated(f"ClickHouse at {settings.clickhouse_url}"):
        told_s = float(client.query("SELECT toFloat64(now64(6))").result_rows[0][0])
    # The server read its clock somewhere between question and answer.
    skew_s = told_s - (asked_s + time.time()) / 2
    found = f"ClickHouse's clock is {abs(skew_s):.3f} s {'ahead' if skew_s > 0 else 'behind'}"
    return Finding(
        "clock", abs(skew_s) <= _MAX_SKEW_S, found, f"set both by NTP: at most {_MAX_SKEW_S:g} s apart"
    )


def _show(findings: list[Finding]) -> None:
    table = Table("check", "", "found", "what to do", box=None)
    for finding in findings:
        mark = "[green]ok[/]" if finding.ok else "[red]wrong[/]"
        table.add_row(finding.check, mark, escape(finding.found), "" if finding.ok else escape(finding.todo))
    out.print(table)
