"""`postloop reputation`: what another policy would have said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from postloop.adapters.clickhouse import connect
from postloop.adapters.reputation_policy import read_policy, reputation_policy
from postloop.adapters.reputation_store import ReputationReader
from postloop.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    guarded,
    out,
    print_json,
    printable,
    settings_for,
    stop,
    time_option,
)
from postloop.contracts.fields import moment
from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    ReputationPolicy,
    backtest,
)

reputation = typer.Typer(no_args_is_help=True, help="Policies of reputation.")

# The first day is judged by the mail of 30 days, as any other.
_BEFORE: Final = timedelta(days=30)
# No day is stored from before.
_OLDEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


def register(app: typer.Typer) -> None:
    """Add `postloop reputation`."""
    app.add_typer(reputation, name="reputation")


@reputation.callback()
def _only_group() -> None:
    """Policies of reputation."""


@reputation.command("backtest")
def run_backtest(
    policy: Annotated[Path, typer.Option(help="TOML or JSON: a preset and what differs from it.")],
    from_at: Annotated[str, typer.Option("--from", help="First day, as a time with a zone.")],
    to_at: Annotated[str, typer.Option("--to", help="The day behind the last one.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Replay stored days under another policy than that in force: whose grade would have been another, and when.

    Days are UTC days, judged at their end. Shown are days from which the two policies disagree, or agree again.

    Example: [bold]postloop reputation backtest --policy p.toml --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z[/]
    """
    settings = settings_for(data_dir)
    first, last = time_option(from_at, "--from"), time_option(to_at, "--to")
    if first >= last:
        raise stop("--from must be before --to", Exit.USAGE)
    other = _read(policy)
    begin = max(first, _OLDEST + _BEFORE) - _BEFORE
    with guarded():
        in_force = reputation_policy(settings)
        reader = ReputationReader(connect(settings), settings)
        found = [
            {"account_id": subject.account_id, "sender_domain": subject.sender_domain, **change}
            for subject, days in reader.daily(begin.date(), last.date())
            for change in _differences(days, in_force, other, first)
        ]
    if as_json:
        for change in found:
            print_json(change)
        return
    _show(found)


def _differences(
    days: Any, in_force: ReputationPolicy, other: ReputationPolicy, first: datetime
) -> list[dict[str, Any]]:
    """Return the days from `first` on at whose end the two grades differ anew, or no longer do."""
    changes = backtest(days, policy_a=in_force, policy_b=other)
    found, differed = [], False
    for change in changes:
        if (change.is_different or differed) and moment(change.start_ms) >= first.replace(
            hour=0, minute=0, second=0, microsecond=0
        ):
            found.append(
                {
                    "day": moment(change.start_ms).astimezone(UTC).date().isoformat(),
                    "grade": change.grade_a,
                    "grade_by_policy": change.grade_b,
                }
            )
        differed = change.is_different
    return found


def _read(path: Path) -> ReputationPolicy:
    try:
        return read_policy(path)
    except DataError as error:
        raise stop(error.text, Exit.USAGE) from None


def _show(found: list[dict[str, Any]]) -> None:
    table = Table("day", "account", "domain", "grade", "by the policy", box=None)
    for change in found:
        names = (escape(printable(change[name])) for name in ("account_id", "sender_domain"))
        table.add_row(change["day"], *names, change["grade"], change["grade_by_policy"])
    out.print(table)
    err.print(f"{len(found)} days on which the policies part or meet again")
