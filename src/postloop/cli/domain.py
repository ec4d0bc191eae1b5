"""`postloop domain`: the health of sender domains."""

from __future__ import annotations

from typing import Annotated

import typer

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.domain_health import RUNNING, document, read_health, standings, summary
from postloop.adapters.domain_reader import DomainReader
from postloop.adapters.reputation_store import ReputationReader
from postloop.cli.common import AsJson, DataDir, Exit, guarded, out, print_json, settings_for, stop
from postloop.cli.domain_page import show as show_page
from postloop.cli.domain_page import show_list

domain = typer.Typer(no_args_is_help=True, help="The health of sender domains.")


def register(app: typer.Typer) -> None:
    """Add `postloop domain`."""
    app.add_typer(domain, name="domain")


@domain.command()
def show(
    sender_domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="Sender domain.")],
    account: Annotated[str | None, typer.Option(help="Only this account's mail.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show rates with intervals, score, reasons and what to do about them.

    With --json one line for each account that sends from the domain.

    Example: [bold]postloop domain show mail.acme.example --account acme[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        client, now = connect(settings), utc_now()
        reputation, reader = ReputationReader(client, settings), DomainReader(client, settings)
        found = standings(
            reputation.evidence_of(account, sender_domain, as_of=now + RUNNING),
            reputation.current(sender_domain, account_id=account),
        )
        documents = [document(read_health(reader, standing, now=now)) for standing in found]
    if not documents:
        raise stop(f"nothing was sent from {sender_domain} in the last 30 days", Exit.NO)
    for one in documents:
        if as_json:
            print_json(one)
        else:
            show_page(one, out)


@domain.command("list")
def list_domains(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    account: Annotated[str | None, typer.Option(help="Only this account's domains.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List sender domains, the worst first.

    Example: [bold]postloop domain list --limit 50[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        reader = ReputationReader(connect(settings), settings)
        rows = [summary(row) for row in reader.current(account_id=account, limit=limit)]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        show_list(rows, out)
