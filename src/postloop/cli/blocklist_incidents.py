"""`postloop blocklist incidents|release-held|discard-held`: mailbox providers that refused everybody."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from postloop.adapters.alert_store import AlertReader, StoredAlert
from postloop.adapters.clickhouse import connect
from postloop.cli.blocklist_asking import Actor, Why, actor_of, ask_command, command_of
from postloop.cli.common import AsJson, DataDir, Exit, guarded, out, print_json, settings_for, stop
from postloop.contracts.fields import rfc3339
from postloop.domain.blocklist import GLOBAL
from postloop.domain.incident import is_guarded

Provider = Annotated[str, typer.Argument(help="The mailbox provider, as in gmail.")]


def register(blocklist: typer.Typer) -> None:
    """Add the commands."""
    blocklist.command()(incidents)
    blocklist.command("release-held")(release_held)
    blocklist.command("discard-held")(discard_held)


def incidents(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List outages of mailbox providers whose bounces were held, the newest first.

    Exit code 1: there was none.

    Example: [bold]postloop blocklist incidents[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        found = AlertReader(connect(settings), settings).alerts("provider_outage", limit=limit)
    if as_json:
        for alert in found:
            print_json(_plain(alert))
    elif found:
        out.print(_table(found))
    if not found:
        raise stop("no provider's bounces were ever held", Exit.NO)


def release_held(
    provider: Provider,
    reason: Why,
    actor: Actor = "operator:cli",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End the hold of a provider: the bounces that are held block after all.

    Addresses that were released when the hold began stay so: they block with their next bounce.

    Example: [bold]postloop blocklist release-held gmail --reason "they closed the domain"[/]
    """
    _decide("release_held", provider, actor, reason, data_dir, as_json=as_json)


def discard_held(
    provider: Provider,
    reason: Why,
    actor: Actor = "operator:cli",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End the hold of a provider: the bounces that are held are forgotten.

    Example: [bold]postloop blocklist discard-held gmail --reason "outage confirmed, over since 10:40"[/]
    """
    _decide("discard_held", provider, actor, reason, data_dir, as_json=as_json)


def _decide(
    command: Any, provider: str, actor: str, reason: str, data_dir: DataDir, *, as_json: bool
) -> None:
    if not is_guarded(provider):
        raise stop(f"no mailbox provider of which bounces are held: {provider!r}", Exit.USAGE)
    if not reason.strip():
        raise stop("--reason must not be empty", Exit.USAGE)
    wanted = command_of(command, provider, GLOBAL, actor_of(actor), reason, None)
    ask_command(settings_for(data_dir), wanted, as_json=as_json)


def _plain(alert: StoredAlert) -> dict[str, Any]:
    return {
        "mailbox_provider": alert.mailbox_provider,
        "started_at": rfc3339(alert.started_at),
        "ended_at": None if alert.ended_at is None else rfc3339(alert.ended_at),
        "figures": alert.figures,
        "end_figures": alert.end_figures,
        "text": alert.text,
    }


def _table(alerts: list[StoredAlert]) -> Table:
    table = Table("provider", "started", "ended", "hard bounces", "what happened", box=None, pad_edge=False)
    for alert in alerts:
        hard = (alert.end_figures or alert.figures).get("hard_count", 0)
        table.add_row(
            escape(alert.mailbox_provider or ""),
            rfc3339(alert.started_at),
            "goes on" if alert.ended_at is None else rfc3339(alert.ended_at),
            f"{hard:,}",
            escape(alert.text),
        )
    return table
