"""`postloop reconcile` as a person types it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from postloop.cli.main import app
from tests.support.database import Database, event, migrated_database, recently, server_url


@pytest.fixture(scope="module")
def db() -> Database:
    """One event, stored twice, counted twice."""
    database = migrated_database()
    database.insert([event("delivered", recently(), event_id="a", partition=n) for n in range(2)])
    return database


@pytest.fixture
def reconcile(db: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("POSTLOOP_CLICKHOUSE_URL", server_url())
    monkeypatch.setenv("POSTLOOP_CLICKHOUSE_DATABASE", db.name)
    return lambda *arguments: CliRunner().invoke(app, ["reconcile", *arguments])


def test_a_dry_run_exits_with_one_while_something_differs_and_the_repair_with_zero(
    reconcile: Callable[..., Any],
) -> None:
    dry = reconcile("--dry-run", "--json")
    assert dry.exit_code == 1
    found = json.loads(dry.stdout)
    domain = next(d for d in found["differences"] if d["table"] == "rollup_hour" and d["cube"] == "domain")
    assert domain["counters"] == {"event_count": -1, "delivered_count": -1}
    assert domain["bucket"] == f"{recently():%Y-%m-%dT%H:00:00Z}"
    repair = reconcile()
    assert repair.exit_code == 0
    assert "delivered_count -1" in repair.stdout
    assert json.loads(reconcile("--dry-run", "--json").stdout)["differences"] == []
    assert reconcile("--dry-run").exit_code == 0


def test_only_hours_in_the_range_are_compared(reconcile: Callable[..., Any]) -> None:
    later = recently() + timedelta(hours=1)
    result = reconcile("--from", f"{later:%Y-%m-%dT%H:00:00Z}", "--json")
    assert json.loads(result.stdout)["hour_count"] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "2026-01-02 00:00:00"), "--from must be a time with a zone"),
        (("--to", "yesterday"), "--to must be a time with a zone"),
        (("--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"), "must lie before --to"),
    ],
    ids=["no zone", "no time", "backwards"],
)
def test_wrong_times_are_one_sentence_and_exit_code_two(
    reconcile: Callable[..., Any], arguments: tuple[str, ...], sentence: str
) -> None:
    result = reconcile(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
