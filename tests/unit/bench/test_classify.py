"""The benchmark of the classifier measures what it says."""

from pathlib import Path

import pytest
from bench.classify import FUZZ_CHARS, fuzz, measure, measure_file
from bench.cli.main import app
from typer.testing import CliRunner

from postloop.domain.bounce import Bounce


def test_made_up_texts_are_long_and_the_same_for_the_same_seed() -> None:
    texts = list(fuzz(8, seed=3))
    assert texts == list(fuzz(8, seed=3))
    assert texts != list(fuzz(8, seed=4))
    assert all(FUZZ_CHARS * 0.5 <= len(text) <= FUZZ_CHARS for text in texts)


def test_times_are_in_order() -> None:
    times = measure([Bounce(diagnostic="550 no such user"), Bounce(diagnostic="x" * 1_000)], rounds=2)
    assert 0 < times.median_us <= times.p99_us <= times.longest_us
    assert (times.count, times.load_ms > 0) == (2, True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bounces.jsonl"
    path.write_text(
        '{"id":1,"diagnostic":"550 no such user"}\n\n{"id":2,"smtp_code":452}\n', encoding="utf-8"
    )
    return path


def test_every_line_of_a_file_is_measured(file: Path) -> None:
    assert measure_file(file, rounds=1).count == 2


def test_the_command_prints_both_sets(file: Path) -> None:
    done = CliRunner().invoke(app, ["classify", str(file), "--rounds", "1", "--texts", "4"])
    assert done.exit_code == 0
    assert "file: median " in done.stdout
    assert "fuzz: median " in done.stdout
