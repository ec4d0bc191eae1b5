"""`postloop message`: what became of a message, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.message_lookup import MAX_MESSAGES, Asker, MessageLookup
from postloop.cli import message_page as page
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, out, print_json, settings_for, stop
from postloop.contracts.message import MessagePageV1, MessageV1
from postloop.domain import diagnosis

_WIDTH: Final = 100
"""Lines longer than this are hard to read, however wide the terminal is."""

message = typer.Typer(no_args_is_help=True, help="What became of a message, and what to do next.")

Account = Annotated[str | None, typer.Option(help="Only this account's messages.")]
Lang = Annotated[str, typer.Option(help="Language of the answer, as in en or id.")]


def register(app: typer.Typer) -> None:
    """Add `postloop message`."""
    app.add_typer(message, name="message")


@message.command()
def show(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="As the sender gave it.")],
    account: Account = None,
    recipient: Annotated[str | None, typer.Option(help="Only what was sent to this address.")] = None,
    lang: Lang = "en",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of a message, why, whose side it is on, and what to do next; then its events.

    Exit code 1: there is no such message.

    Example: [bold]postloop message show 7c41@shop.example --account acme[/]
    """
    _check_language(lang)
    if not message_id:
        raise stop("MESSAGE_ID must not be empty", Exit.USAGE)
    settings = settings_for(data_dir)
    with guarded():
        lookup = MessageLookup(connect(settings), settings)
        found = lookup.show(message_id, _asker(account, lang), recipient=recipient)
    if found is None:
        raise stop(_not_found(message_id, account, recipient), Exit.NO)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for number, copy in enumerate(found.recipients):
        for line in page.message_lines(copy, lang=lang, width=min(out.width, _WIDTH), is_first=not number):
            out.print(line)
    if not all(copy.is_complete for copy in found.recipients):
        err.print("there are more events than one answer holds; those that decide are shown")
    elif not found.is_complete:
        err.print("there is more than one answer holds: --recipient shows what was sent to one address")


@message.command("list")
def list_messages(
    recipient: Annotated[str, typer.Option(help="The address that they were sent to.")],
    account: Account = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 20,
    lang: Lang = "en",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the messages to a recipient with what became of each, the newest first.

    Exit code 1: there are none.

    Example: [bold]postloop message list --recipient anna@example.org --limit 5[/]
    """
    _check_language(lang)
    settings = settings_for(data_dir)
    count, is_cut = 0, False
    with guarded():
        lookup = MessageLookup(connect(settings), settings)
        for found in _pages(lookup, recipient, _asker(account, lang), limit):
            count += len(found.messages)
            for one in found.messages:
                _print_in_list(one, as_json=as_json)
            is_cut = count >= limit and found.next_cursor is not None
    if not count:
        raise stop(f"no message to {recipient} is known{_of(account)}", Exit.NO)
    if is_cut:
        err.print(f"the first {limit}; --limit shows more")


def _print_in_list(found: MessageV1, *, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for line in page.list_lines(found, width=min(out.width, _WIDTH)):
        out.print(line)


def _pages(lookup: MessageLookup, recipient: str, asker: Asker, limit: int) -> Iterator[MessagePageV1]:
    cursor = None
    while limit > 0:
        found = lookup.sent_to(recipient, asker, limit=min(limit, MAX_MESSAGES), cursor=cursor)
        yield found
        cursor, limit = found.next_cursor, limit - len(found.messages)
        if cursor is None:
            return


def _asker(account: str | None, lang: str) -> Asker:
    return Asker(now=utc_now(), account_id=account, is_operator=True, lang=lang)


def _check_language(lang: str) -> None:
    if lang not in diagnosis.languages():
        raise stop(f"no language {lang!r}; there is: {', '.join(diagnosis.languages())}", Exit.USAGE)


def _not_found(message_id: str, account: str | None, recipient: str | None) -> str:
    to = f" to {recipient}" if recipient else ""
    return f"no message {message_id}{to} is known{_of(account)}; events are kept for POSTLOOP_RAW_RETENTION"


def _of(account: str | None) -> str:
    return f" of account {account}" if account else ""
