"""`postloop blocklist`: who may not be mailed, why, until when, and lifting it."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Column, Table

from postloop.adapters.blocklist_report import report, seen_by
from postloop.adapters.clock import utc_now
from postloop.cli import blocklist_bulk, blocklist_incidents
from postloop.cli import blocklist_page as page
from postloop.cli.blocklist_asking import Account, Actor, Why, ask, listed_as, reader_of
from postloop.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    guarded,
    out,
    print_json,
    settings_for,
    time_option,
)
from postloop.domain.blocklist import GLOBAL

_HISTORY: Final = 20

blocklist = typer.Typer(no_args_is_help=True, help="Look at the blocklist, lift blocks and make them.")

Address = Annotated[str, typer.Argument(help="The recipient's address; in the hashed form also its hash.")]
Scope = Annotated[str, typer.Option("--scope", help="global, or a sender domain.")]


def register(app: typer.Typer) -> None:
    """Add `postloop blocklist`."""
    blocklist_bulk.register(blocklist)
    blocklist_incidents.register(blocklist)
    app.add_typer(blocklist, name="blocklist")


@blocklist.command()
def show(
    address: Address,
    account: Account = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say whether an address is blocked, why, by which evidence, until when, and what to do.

    Exit code 1: it is not blocked.

    Example: [bold]postloop blocklist show anna@example.org[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        reader, recipient = reader_of(settings), listed_as(settings, address)
        entries = reader.seen_by(account, recipient)
        changes = [] if account else reader.history(recipient, _HISTORY)
    found = report(recipient, entries, changes, now=utc_now())
    if as_json:
        print_json(found)
    else:
        page.print_report(found, out, contact=settings.operator_contact, account=account)
    if not found["blocked"]:
        raise typer.Exit(int(Exit.NO))


@blocklist.command("list")
def list_entries(
    account: Account = "",
    scope: Annotated[str, typer.Option(help="Only this scope: global or a sender domain.")] = "",
    reason: Annotated[str, typer.Option(help="Only with this reason, as in user_unknown.")] = "",
    provider: Annotated[str, typer.Option(help="Only of this mailbox provider, as in gmail.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most this many.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what blocks now; with --account what its own mail caused.

    Example: [bold]postloop blocklist list --account acme --json | jq -r .recipient[/]
    """
    settings = settings_for(data_dir)
    table = Table(Column("recipient", overflow="fold"), "scope", "reason", "since", "until", box=None)
    count = 0
    with guarded():
        reader = reader_of(settings)
        rows = reader.active(
            account=account or None,
            scope=scope or None,
            reason=reason or None,
            provider=provider or None,
            limit=limit,
        )
        for row in rows:
            entry = seen_by(row, account)
            if entry is None:
                continue
            count += 1
            if as_json:
                print_json(entry)
            else:
                table.add_row(*map(escape, page.cells(entry)))
    if not as_json:
        out.print(table)
    if count == limit:
        err.print(f"the first {limit}; --limit shows more")


@blocklist.command()
def block(
    address: Address,
    actor: Actor,
    reason: Why,
    scope: Scope = GLOBAL,
    expires: Annotated[str, typer.Option(help="When it ends, an RFC 3339 time; without: never.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Block an address by hand. An account may do so for its own sender domains.

    Example: [bold]postloop blocklist block anna@example.org --scope shop.example --actor account:acme --reason asked[/]
    """
    until = time_option(expires, "--expires") if expires else None
    ask(settings_for(data_dir), "block", address, scope, actor, reason, until, as_json=as_json)


@blocklist.command()
def unblock(
    address: Address,
    actor: Actor,
    reason: Why,
    scope: Scope = GLOBAL,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Lift a block. An account lifts what its own mail caused, an operator any.

    Exit code 1: it is not blocked in this scope. 4: refused, with the reason.

    Example: [bold]postloop blocklist unblock anna@example.org --actor operator:eve --reason "mailbox works again"[/]
    """
    ask(settings_for(data_dir), "unblock", address, scope, actor, reason, None, as_json=as_json)


@blocklist.command("opt-in")
def opt_in(
    address: Address,
    actor: Actor,
    reason: Why,
    scope: Annotated[str, typer.Option("--scope", help="The sender domain that the consent is given to.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say that the recipient wants mail of a sender domain again: ends a complaint or an unsubscribe.

    Example: [bold]postloop blocklist opt-in anna@example.org --scope shop.example --actor account:acme --reason form[/]
    """
    ask(settings_for(data_dir), "opt_in", address, scope, actor, reason, None, as_json=as_json)


@blocklist.command()
def extend(
    address: Address,
    actor: Actor,
    reason: Why,
    scope: Scope = GLOBAL,
    expires: Annotated[str, typer.Option(help="The new end; without: a full lease from now.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a block last longer (operators).

    Example: [bold]postloop blocklist extend anna@example.org --actor operator:eve --reason "still gone"[/]
    """
    until = time_option(expires, "--expires") if expires else None
    ask(settings_for(data_dir), "extend", address, scope, actor, reason, until, as_json=as_json)
