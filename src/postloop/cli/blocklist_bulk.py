"""`postloop blocklist rollback|export|import`: many entries at once."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.markup import escape
from rich.progress import Progress

from postloop.adapters.blocklist_policy import RecipientKey, blocklist_policy
from postloop.adapters.clock import utc_now
from postloop.adapters.suppression_files import Format, read_list, write_list
from postloop.cli import blocklist_page as page
from postloop.cli.blocklist_asking import (
    Account,
    Actor,
    Why,
    actor_of,
    ask_many,
    checked,
    command_of,
    reader_of,
)
from postloop.cli.blocklist_import import Imported, import_list
from postloop.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    guarded,
    out,
    print_json,
    settings_for,
    stop,
    time_option,
)
from postloop.domain.blocklist import GLOBAL

FileFormat = Annotated[
    Format, typer.Option("--format", help="csv, aws (Amazon SES) or tencent (Tencent SES).")
]


def register(blocklist: typer.Typer) -> None:
    """Add the commands."""
    blocklist.command()(rollback)
    blocklist.command()(export)
    blocklist.command("import")(import_)


def rollback(
    provider: Annotated[str, typer.Option(help="The mailbox provider, as in gmail.")],
    reason: Annotated[str, typer.Option(help="The reason of the entries, as in user_unknown.")],
    from_: Annotated[str, typer.Option("--from", help="Entries that began at or after this RFC 3339 time.")],
    to: Annotated[str, typer.Option(help="And before this one.")],
    actor: Actor = "operator:cli",
    why: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "incident at the mailbox provider",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and release nothing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Release every address that an incident at a provider got blocked, with cause rolled_back.

    Exit code 1: no entry matches. 4: some were refused.

    Example: [bold]postloop blocklist rollback --provider gmail --reason user_unknown --from 2026-03-01T10:00:00Z
    --to 2026-03-01T11:00:00Z --dry-run[/]
    """
    settings = settings_for(data_dir)
    since, until = time_option(from_, "--from"), time_option(to, "--to")
    who = checked(actor_of(actor), why, option="--why")
    chosen: dict[str, Any] = {
        "scope": GLOBAL,
        "reason": reason,
        "provider": provider,
        "starts_from": since,
        "starts_to": until,
    }
    counts = {"entries": 0, "released": 0, "refused": 0, "gone": 0}
    with guarded():
        reader = reader_of(settings)
        counts["entries"] = reader.count_active(**chosen)
        if counts["entries"] and not dry_run:
            commands = (
                command_of("rollback", row.recipient, GLOBAL, who, why, None)
                for row in reader.active(**chosen)
            )
            ask_many(settings, commands, counts)
    if as_json:
        print_json({**counts, "dry_run": dry_run})
    elif dry_run:
        out.print(f"{counts['entries']:,} entries would be released")
    else:
        out.print(f"{counts['released']:,} of {counts['entries']:,} entries released")
    if not counts["entries"]:
        raise stop("no entry matches", Exit.NO)
    if counts["refused"]:
        raise stop(f"{counts['refused']:,} refused: v_blocklist_commands has the reasons", Exit.REFUSED)


def export(
    file: Annotated[Path | None, typer.Argument(help="Default: standard output.")] = None,
    form: FileFormat = "csv",
    account: Account = "",
    scope: Annotated[str, typer.Option(help="Only this scope: global or a sender domain.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Write what blocks now to a file. The accounts behind an entry are never in it.

    The lists of other services know no sender domains: entries for one are left out there.

    Example: [bold]postloop blocklist export list.csv[/]
    """
    settings = settings_for(data_dir)
    with guarded(), ExitStack() as stack:
        stream = stack.enter_context(_opened(file)) if file else sys.stdout
        progress = stack.enter_context(Progress(console=err, transient=True))
        reader = reader_of(settings)
        chosen: dict[str, Any] = {"account": account or None, "scope": scope or None}
        task = progress.add_task("export", total=reader.count_active(**chosen))
        rows = (page.columns(row) for row in reader.active(**chosen))
        for line in write_list(rows, form):
            stream.write(line)
            progress.advance(task)
    if file is not None:
        err.print(f"written to {file}")


def import_(
    file: Annotated[Path, typer.Argument(help="The list.", exists=True, dir_okay=False)],
    actor: Actor,
    reason: Why,
    form: FileFormat = "csv",
    scope: Annotated[str, typer.Option(help="Scope of lines that name none. Complaints need a domain.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count, and block nothing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Block the addresses of a list by hand: bounces for the rest of their lease, others without end.

    Exit code 1: lines could not be read or were refused; the others took effect.

    Example: [bold]postloop blocklist import ses.csv --format aws --actor operator:eve --reason "move from SES"[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        policy = blocklist_policy(settings)
        who = checked(actor_of(actor), reason)
        plan = import_list(
            read_list(_text_of(file), form),
            actor=who,
            reason=reason,
            scope=scope,
            lease_ms=policy.lease_ms,
            now=utc_now(),
            key=RecipientKey(settings),
        )
        counts = {"entries": len(plan.commands), "released": 0, "refused": 0, "gone": 0}
        if plan.commands and not dry_run:
            ask_many(settings, plan.commands, counts)
    _tell_import(plan, counts, dry_run=dry_run, as_json=as_json)
    if plan.bad or counts["refused"] or counts["gone"]:
        raise typer.Exit(int(Exit.NO))


def _opened(file: Path) -> TextIO:
    try:
        return file.open("w", encoding="utf-8")
    except OSError as error:
        raise stop(f"{file} cannot be written: {error.strerror}", Exit.USAGE) from None


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise stop(f"{file} is not UTF-8: byte {error.start}", Exit.USAGE) from None
    except OSError as error:
        raise stop(f"{file} cannot be read: {error.strerror}", Exit.USAGE) from None


def _tell_import(plan: Imported, counts: dict[str, int], *, dry_run: bool, as_json: bool) -> None:
    told = {
        "lines": plan.lines,
        "blocked": counts["released"],
        "over": plan.over,
        "invalid": len(plan.bad),
        "refused": counts["refused"] + counts["gone"],
        "dry_run": dry_run,
    }
    for bad in plan.bad[:20]:
        err.print(f"line {bad.line}: {escape(bad.reason)}")
    if as_json:
        print_json(told)
        return
    done = f"{len(plan.commands):,} would be blocked" if dry_run else f"{told['blocked']:,} blocked"
    out.print(
        f"{done} of {plan.lines:,} lines; {plan.over:,} whose lease is over, {told['invalid']:,} invalid, "
        f"{told['refused']:,} refused"
    )
