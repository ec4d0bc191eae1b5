"""`postloop reputation`: what another policy would have said."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from postloop.adapters.clickhouse import connect
from postloop.adapters.reputation_store import ReputationReader
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
from postloop.contracts.fields import moment
from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    DEFAULT_REPUTATION_POLICY,
    ReputationPolicy,
    backtest,
    policy_from_plain,
)

reputation = typer.Typer(no_args_is_help=True, help="Policies of reputation.")

# The first day is judged by the mail of 30 days, as any other.
_BEFORE: Final = timedelta(days=30)


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
    """Replay stored days under another policy: which domains would have had another grade, and when.

    Days are UTC days, judged at their end. Shown are days from which the two policies disagree, or agree again.

    Example: [bold]postloop reputation backtest --policy p.toml --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z[/]
    """
    settings = settings_for(data_dir)
    first, last = time_option(from_at, "--from"), time_option(to_at, "--to")
    if first >= last:
        raise stop("--from must be before --to", Exit.USAGE)
    other = _read(policy)
    with guarded():
        reader = ReputationReader(connect(settings), settings)
        found = [
            {"account_id": subject.account_id, "sender_domain": subject.sender_domain, **change}
            for subject, days in reader.daily((first - _BEFORE).date(), last.date())
            for change in _differences(days, other, first)
        ]
    if as_json:
        for change in found:
            print_json(change)
        return
    _show(found)


def _differences(days: Any, other: ReputationPolicy, first: datetime) -> list[dict[str, Any]]:
    """Return the days from `first` on at whose end the two grades differ anew, or no longer do."""
    changes = backtest(days, policy_a=DEFAULT_REPUTATION_POLICY, policy_b=other)
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
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return policy_from_plain(plain)
    except OSError as error:
        raise stop(f"cannot read {path}: {error.strerror}", Exit.USAGE) from None
    except DataError as error:
        raise stop(f"{path}: {error.field}: {error}", Exit.USAGE) from None
    except (ValueError, AttributeError) as error:
        raise stop(f"{path} is no policy: {error}", Exit.USAGE) from None


def _show(found: list[dict[str, Any]]) -> None:
    table = Table("day", "account", "domain", "grade", "by the policy", box=None)
    for change in found:
        names = (escape(change["account_id"]), escape(change["sender_domain"]))
        table.add_row(change["day"], *names, change["grade"], change["grade_by_policy"])
    out.print(table)
    err.print(f"{len(found)} days on which the policies part or meet again")
