"""`postloop domain`: the health of sender domains."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import typer

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.domain_reader import DomainReader
from postloop.adapters.reputation_policy import reputation_policy
from postloop.adapters.reputation_store import ReputationReader, Subject
from postloop.cli.common import AsJson, DataDir, Exit, guarded, out, print_json, settings_for, stop
from postloop.cli.domain_page import Health, document, show_list, summary
from postloop.cli.domain_page import show as show_page
from postloop.domain.reputation import Evidence

domain = typer.Typer(no_args_is_help=True, help="The health of sender domains.")

# The minute that runs counts as well.
_RUNNING: Final = timedelta(minutes=1)


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
        client = connect(settings)
        policy, reader = reputation_policy(settings), DomainReader(client, settings)
        reputation = ReputationReader(client, settings, representative_count=policy.representative_count)
        found = reputation.evidence_of(account, sender_domain, as_of=utc_now() + _RUNNING)
        said = {row.account_id: row for row in reputation.current(sender_domain, account_id=account)}
        for account_id in said.keys() - {subject.account_id for subject, _ in found}:
            found.append((Subject(account_id, sender_domain), Evidence({})))
        documents = [
            document(
                Health(
                    subject=subject,
                    evidence=evidence,
                    current=said.get(subject.account_id),
                    opens=reader.opens(subject.account_id, sender_domain),
                    pools=reader.pools(subject.account_id, sender_domain),
                    latencies=reader.latencies(subject.account_id, sender_domain),
                    days=reader.days(subject.account_id, sender_domain),
                ),
                policy=policy,
            )
            for subject, evidence in found
        ]
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
