"""`postloop domain`: the health of sender domains."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.domain_health import RUNNING, document, read_health, read_whole, standings, summary
from postloop.adapters.domain_reader import DomainReader
from postloop.adapters.reputation_policy import reputation_policy
from postloop.adapters.reputation_store import ReputationReader
from postloop.cli.common import AsJson, DataDir, Exit, guarded, out, print_json, settings_for, stop
from postloop.cli.domain_page import show as show_page
from postloop.cli.domain_page import show_list
from postloop.settings import Settings

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

    With --json one line for each account that sends from the domain; before them one of all together (`account_id`
    null) when there are several.

    Example: [bold]postloop domain show mail.acme.example --account acme[/]
    """
    settings = settings_for(data_dir)
    with guarded():
        documents = _documents(settings, sender_domain, account)
    if not documents:
        raise stop(f"nothing was sent from {sender_domain} in the last 30 days", Exit.NO)
    for one in documents:
        if as_json:
            print_json(one)
        else:
            show_page(one, out)


def _documents(settings: Settings, sender_domain: str, account_id: str | None) -> list[dict[str, Any]]:
    """Return a document for each account that sends from a domain, before them one of all when there are more."""
    client, now, policy = connect(settings), utc_now(), reputation_policy(settings)
    reputation = ReputationReader(client, settings, representative_count=policy.representative_count)
    reader = DomainReader(client, settings)
    found = standings(
        reputation.evidence_of(account_id, sender_domain, as_of=now + RUNNING),
        reputation.current(sender_domain, account_id=account_id),
    )
    healths = [read_health(reader, reputation, standing, now=now) for standing in found]
    if len(healths) > 1:
        healths.insert(0, read_whole(reputation, sender_domain, now=now))
    return [document(health, policy=policy) for health in healths]


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
