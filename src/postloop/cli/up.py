"""`postloop up`: the whole of Postloop on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from postloop.adapters.settings_check import check_settings
from postloop.cli.common import Exit, err, guarded, out, print_json, settings_in_force, stop
from postloop.embedded.addresses import choose_addresses, overruled
from postloop.embedded.broker import KEEPS_NOTHING
from postloop.embedded.stack import Plan, Stack
from postloop.embedded.stack_state import data_directory_lock
from postloop.embedded.supervisor import StartError
from postloop.settings import PREFIX, Settings

_TRY_NEXT = """Try next, in another terminal:
  {postloop} simulate --events 10000 --truth truth.json{where}
  {postloop} verify --truth truth.json{where}
  curl '{clickhouse}' --data "SELECT * FROM v_domain_counts WHERE window = '1h' LIMIT 5 FORMAT Vertical"
"""

_LOOKED_INTO: Final[Path] = Settings.model_fields["data_dir"].default
_RESTORED = {"webhooks": "endpoints"}


def register(app: typer.Typer) -> None:
    """Add `postloop up`."""
    app.command()(up)


def up(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keeps ClickHouse's data and logs (default: .postloop).")
    ] = None,
    kafka_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 9092, or a free port; 0: any free port.")
    ] = None,
    clickhouse_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 8123, or a free port; 0: any free port.")
    ] = None,
    api_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 8080, or a free port; 0: any free port.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON line on stdout for every change of state.")
    ] = False,
) -> None:
    """Run broker, ClickHouse and all roles on this machine until Ctrl-C.

    Everything listens on 127.0.0.1 only. ClickHouse's data stays in the data directory; the broker is in
    memory and starts empty every time. Other commands find the running stack by its data directory.

    Example: [bold]postloop up --data-dir ./demo --kafka-port 19092[/]
    """
    settings = settings_in_force(data_dir)
    with guarded():
        check_settings(settings)
    if others := overruled(settings):
        names = ", ".join(f"{PREFIX}{name.upper()}" for name in others)
        err.print(
            f"[yellow]note:[/] this broker and this ClickHouse are plain and do not use {names}; commands that should "
            "find them must be run without"
        )
    directory = (data_dir or settings.data_dir).absolute()
    say = print_json if as_json else _Narrator(directory).say
    with guarded(), data_directory_lock(directory):
        addresses = choose_addresses(
            kafka_port=kafka_port, clickhouse_port=clickhouse_port, http_port=api_port
        )
        try:
            asyncio.run(_run(Plan(directory, addresses, settings), say))
        except StartError as error:
            raise stop(str(error), Exit.UNREACHABLE) from None


async def _run(plan: Plan, say: Callable[[dict[str, Any]], None]) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop.set)
    await Stack(plan, say=say).run(asked_to_stop)


class _Narrator:
    """Says the changes of state to a person: a table when all is ready, one line for what goes wrong."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._is_up = False
        self._operator_key = ""

    def say(self, change: dict[str, Any]) -> None:
        event, component = change["event"], change.get("component", "")
        if event == "ready":
            self._is_up = True
            self._show_table(change)
        elif event == "operator_key":
            self._operator_key = change["key"]
        elif event in ("ended", "broker_memory", "not_all_stored", "restarting"):
            again = f" (again in {change['restart_in_s']:g} s)" if "restart_in_s" in change else ""
            said = change.get("reason") or event
            count = (
                f"{change['records']:,} records were not stored yet and are lost. "
                if "records" in change
                else ""
            )
            err.print(f"[yellow]{component or 'broker'}:[/] {count}{said.replace('[', chr(92) + '[')}{again}")
        elif event == "restored":
            err.print(
                f"{component}: {change['entries']:,} {_RESTORED.get(component, 'entries')} are back from ClickHouse"
            )
        elif event == "starting" and not self._is_up:
            err.print(f"starting {component} ...")
        elif event == "component_ready" and self._is_up:
            err.print(f"{component} is ready again")
        elif event == "stopping" and not component:
            err.print("stopping: first the workers store what was produced ...")
        elif event == "stopped" and not component:
            err.print("stopped")

    def _show_table(self, ready: dict[str, Any]) -> None:
        table = Table("part", "where", "keeps its data", box=None)
        for column in table.columns:
            column.overflow = "fold"  # an address that is cut short is of no use
        table.add_row("Kafka broker (Tansu)", ready["kafka"], "no: empty at every start")
        table.add_row("ClickHouse (HTTP)", ready["clickhouse"], "yes")
        table.add_row("API, health, metrics", ready["http"], "keys in ClickHouse")
        table.add_row("recorder", "Kafka -> ClickHouse", "")
        table.add_row("blocklist", "Kafka -> blocks", "in ClickHouse")
        table.add_row("reputation", "ClickHouse -> grades", "in ClickHouse")
        table.add_row("webhooks", "Kafka -> HTTP", "in ClickHouse, in files")
        table.add_row("data, logs", str(self._directory), "")
        out.print(table)
        out.print(f"\n[yellow]{KEEPS_NOTHING}[/]\n")
        said = {"postloop": _as_called(), "where": self._where(), "clickhouse": ready["clickhouse"]}
        out.print(_TRY_NEXT.format(**said), markup=False)
        if self._operator_key:
            out.print("The operator's key for the API, shown this once; `postloop key create` makes others:")
            out.print(f"  {self._operator_key}\n", markup=False)
        out.print("Ctrl-C stops everything.")

    def _where(self) -> str:
        """Return the option by which other commands find this stack, "" where they look anyway."""
        if self._directory == _LOOKED_INTO.absolute():
            return ""
        return f" --data-dir {shlex.quote(os.path.relpath(self._directory))}"


def _as_called() -> str:
    """Return how another command of ours is typed here: by name when the shell finds it, else by its path."""
    return "postloop" if shutil.which("postloop") else sys.argv[0]
