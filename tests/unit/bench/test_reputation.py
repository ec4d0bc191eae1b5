"""The study of reputation rules: the rules are those that it names, and its figures are right where they are known."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import pytest
from bench import reputation
from bench.cli import reputation as command
from bench.cli.main import app
from bench.reputation import (
    Aws,
    CalibratedDay,
    Healthy,
    Ill,
    Postloop,
    Rule,
    Tencent,
    study_healthy,
    study_ill,
)
from typer.testing import CliRunner

from postloop.domain.reputation import PRESETS

OURS = Postloop("ours", 0.005, PRESETS["tencent"], frozenset({"bad"}))


def beyond(count: int, *, sends: int, rate: float) -> float:
    """Return how probable more complaints than this are."""
    return 1 - sum(comb(sends, k) * rate**k * (1 - rate) ** (sends - k) for k in range(count + 1))


def test_tencents_rule_judges_from_301_sends_on() -> None:
    assert list(Tencent().days(300, [9])) == [False]
    assert list(Tencent().days(301, [1, 2])) == [False, True]


def test_aws_rule_looks_at_the_last_sends() -> None:
    assert list(Aws("aws", 0.005, volume=1_000).days(500, [5, 0, 0, 5])) == [True, True, False, True]


@pytest.mark.parametrize("sends", [301, 1_000, 3_000])
def test_the_calibrated_day_keeps_its_price_and_no_more(sends: int) -> None:
    least = next(count for count in range(100) if next(iter(CalibratedDay().days(sends, [count]))))
    assert beyond(least - 1, sends=sends, rate=0.003) <= 1 / 365 < beyond(least - 2, sends=sends, rate=0.003)


def test_the_study_finds_the_known_error_of_the_fixed_rule() -> None:
    found = study_healthy(Tencent(), sends=301, true_rate=0.003, domains=200, days=100, seed=1)
    assert found.down_day_rate == pytest.approx(beyond(1, sends=301, rate=0.003), abs=0.01)
    assert found.down_day_rate == pytest.approx(0.229, abs=0.01)
    assert found.downgrades_a_year == pytest.approx(found.down_day_rate * 365)


def test_postloops_rule_spares_where_the_fixed_one_misfires() -> None:
    def harm(rule: Rule) -> float:
        found = study_healthy(rule, sends=301, true_rate=0.003, domains=4, days=60, seed=3)
        return found.downgrades_a_year

    assert harm(OURS) < harm(Tencent()) / 20


def test_postloops_rule_finds_who_sends_too_little_for_the_fixed_one() -> None:
    assert study_ill(Tencent(), sends=300, true_rate=0.02, domains=5, seed=1).mean_days is None
    found = study_ill(OURS, sends=300, true_rate=0.02, domains=5, seed=1)
    assert found.found_rate == 1
    assert found.mean_days is not None
    assert found.mean_days < 4


def test_the_command_prints_both_tables_and_writes_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "RULES", (Tencent(), OURS))
    monkeypatch.setattr(command, "SIZES", (301,))
    file = tmp_path / "study.json"
    done = CliRunner().invoke(app, ["reputation", "--domains", "1", "--days", "3", "--json", str(file)])
    assert done.exit_code == 0
    assert "Healthy domains" in done.stdout
    assert "fall ill" in done.stdout
    written = json.loads(file.read_text(encoding="utf-8"))
    assert {Healthy(**row).rule for row in written["healthy"]} == {"Tencent, fixed", "ours"}
    assert len([Ill(**row) for row in written["ill"]]) == 2 * len(reputation.ILL_RATES)
