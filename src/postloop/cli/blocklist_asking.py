"""What the commands of `postloop blocklist` share: the reader, the actor, asking the role."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.progress import Progress

from postloop.adapters.blocklist_policy import RecipientKey
from postloop.adapters.blocklist_store import BlocklistReader
from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.command_channel import CommandChannel
from postloop.cli.common import Exit, err, guarded, out, print_json, stop
from postloop.contracts.blocklist import (
    MAX_REASON_CHARS,
    ActorV1,
    BlocklistCommandV1,
    BlocklistReplyV1,
)
from postloop.contracts.field_errors import field_errors
from postloop.domain.blocklist.signals import CommandName
from postloop.domain.errors import DataError
from postloop.settings import Settings

Actor = Annotated[str, typer.Option("--actor", help="Who asks: account:ID or operator:NAME.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the audit trail.")]
Account = Annotated[str, typer.Option("--account", help="As this account may see it: its own causes only.")]

_EXIT_OF: Final = {"done": Exit.DONE, "not_found": Exit.NO, "refused": Exit.REFUSED}


def reader_of(settings: Settings) -> BlocklistReader:
    return BlocklistReader(connect(settings), settings)


def listed_as(settings: Settings, address: str) -> str:
    """Return an address as the list holds it, or leave with exit code 2."""
    try:
        return RecipientKey(settings).listed(address)
    except DataError:
        raise stop(f"not an address: {address!r}", Exit.USAGE) from None


def actor_of(text: str) -> ActorV1:
    kind, _, name = text.partition(":")
    if kind not in ("account", "operator") or not name:
        raise stop(f"--actor is account:ID or operator:NAME: {text!r}", Exit.USAGE)
    try:
        return ActorV1(kind="account" if kind == "account" else "operator", id=name)
    except ValidationError as error:
        raise stop(f"--actor: {field_errors(error)[0].text}", Exit.USAGE) from None


def checked(actor: ActorV1, reason: str, *, option: str = "--reason") -> ActorV1:
    """Return the actor, or leave with exit code 2 where the reason is none or too long."""
    if not reason.strip():
        raise stop(f"{option} must not be empty", Exit.USAGE)
    if len(reason) > MAX_REASON_CHARS:
        raise stop(f"{option} has more than {MAX_REASON_CHARS} characters: {len(reason)}", Exit.USAGE)
    return actor


def command_of(
    command: CommandName, recipient: str, scope: str, actor: ActorV1, reason: str, until: datetime | None
) -> BlocklistCommandV1:
    try:
        return BlocklistCommandV1(
            command_id=str(uuid.uuid4()),
            command=command,
            recipient=recipient,
            scope=scope,
            actor=actor,
            reason=reason,
            requested_at=utc_now(),
            expires_at=until,
        )
    except ValidationError as error:
        raise stop(field_errors(error)[0].text, Exit.USAGE) from None


def ask(
    settings: Settings,
    command: CommandName,
    address: str,
    scope: str,
    actor: str,
    reason: str,
    until: datetime | None,
    *,
    as_json: bool,
) -> None:
    who = checked(actor_of(actor), reason)
    with guarded():
        wanted = command_of(command, listed_as(settings, address), scope, who, reason, until)
    ask_command(settings, wanted, as_json=as_json)


def ask_command(settings: Settings, wanted: BlocklistCommandV1, *, as_json: bool) -> None:
    """Send a command, print the answer, and leave with its exit code unless it was done."""
    with guarded(), CommandChannel(settings) as channel:
        reply = channel.ask(wanted)
    if as_json:
        print_json(reply.model_dump(mode="json"))
    elif reply.outcome == "done":
        out.print(escape(reply.text))
    else:
        err.print(f"[bold red]{reply.outcome.replace('_', ' ')}:[/] {escape(reply.text)} ({reply.code})")
    if reply.outcome != "done":
        raise typer.Exit(int(_EXIT_OF[reply.outcome]))


def ask_many(settings: Settings, commands: Iterable[BlocklistCommandV1], counts: dict[str, int]) -> None:
    """Ask for many changes with a bar, counting the answers."""
    words = {"done": "released", "refused": "refused", "not_found": "gone"}
    with Progress(console=err, transient=True) as progress, CommandChannel(settings) as channel:
        task = progress.add_task("asking", total=counts["entries"])

        def note(reply: BlocklistReplyV1) -> None:
            counts[words[reply.outcome]] += 1
            progress.advance(task)

        channel.ask_all(commands, on_reply=note)
