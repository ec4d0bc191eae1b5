"""`postloop domain`: the health of sender domains."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.domain_reader import DomainReader
from postloop.adapters.reputation_policy import reputation_policy
from postloop.adapters.reputation_store import CurrentRow, ReputationReader, Subject
from postloop.cli.common import AsJson, DataDir, Exit, guarded, out, print_json, settings_for, stop
from postloop.cli.domain_page import Health, document, show_list, summary
from postloop.cli.domain_page import show as show_page
from postloop.cli.domain_parts import Part
from postloop.domain.reputation import Evidence, tencent_ladder
from postloop.settings import Settings

domain = typer.Typer(no_args_is_help=True, help="The health of sender domains.")

# The minute that runs counts as well.
_RUNNING: Final = timedelta(minutes=1)
# A sender is on level 1 of Tencent's before that.
_LADDER_DAYS: Final = timedelta(days=90)


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
        look = _Look(settings)
        documents = look.documents(sender_domain, account)
    if not documents:
        raise stop(f"nothing was sent from {sender_domain} in the last 30 days", Exit.NO)
    for one in documents:
        if as_json:
            print_json(one)
        else:
            show_page(one, out)


class _Look:
    """One look at a sender domain."""

    def __init__(self, settings: Settings) -> None:
        client = connect(settings)
        self._policy = reputation_policy(settings)
        self._reputation = ReputationReader(
            client, settings, representative_count=self._policy.representative_count
        )
        self._reader = DomainReader(client, settings)
        self._as_of = utc_now() + _RUNNING

    def documents(self, sender_domain: str, account_id: str | None) -> list[dict[str, Any]]:
        """Return a document for each account that sends from the domain, before them one of all when there are more."""
        reputation, as_of = self._reputation, self._as_of
        found = reputation.evidence_of(account_id, sender_domain, as_of=as_of)
        said = {row.account_id: row for row in reputation.current(sender_domain, account_id=account_id)}
        for known in said.keys() - {subject.account_id for subject, _ in found}:
            found.append((Subject(known, sender_domain), Evidence({})))
        healths = [
            self._health(subject, evidence, said.get(subject.account_id)) for subject, evidence in found
        ]
        if len(healths) > 1:
            whole = reputation.of_everybody(sender_domain, as_of=as_of)
            nothing: dict[str, Any] = dict.fromkeys(("opens", "pools", "latencies", "days"), ())
            everybody = Subject("", sender_domain)
            healths.insert(0, Health(subject=everybody, evidence=whole, current=None, **nothing))
        return [document(health, policy=self._policy) for health in healths]

    def _health(self, subject: Subject, evidence: Evidence, current: CurrentRow | None) -> Health:
        who, as_of, reader = (subject.account_id, subject.sender_domain), self._as_of, self._reader
        today = as_of.date()
        days = next(self._reputation.daily(today - _LADDER_DAYS, today, subject=subject), (subject, []))[1]
        return Health(
            subject=subject,
            evidence=evidence,
            current=current,
            opens=reader.opens(*who),
            pools=reader.pools(*who),
            latencies=reader.latencies(*who),
            days=reader.days(*who),
            providers=[
                Part(one.mailbox_provider, evidence)
                for one, evidence in self._reputation.by_provider([subject], as_of=as_of)
            ],
            ip_pools=[
                Part(name, evidence, kind)
                for name, kind, evidence in self._reputation.by_pool(*who, as_of=as_of)
            ],
            tencent=tencent_ladder(day.counts for day in days),
            open_days=reader.open_days(*who),
        )


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
