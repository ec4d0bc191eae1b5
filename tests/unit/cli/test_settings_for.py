"""A command that names the data directory of a stack means that stack and no other."""

import json
import os
from pathlib import Path

import pytest
import typer

from postloop.cli.common import settings_for, settings_in_force
from postloop.settings import STACK_FILE


def leave_stack(directory: Path, pid: int) -> None:
    settings = {"kafka_brokers": "127.0.0.1:19092", "clickhouse_url": "http://127.0.0.1:18123"}
    (directory / STACK_FILE).write_text(json.dumps({"pid": pid, "settings": settings}))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no `.env` and no environment says where Kafka is."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("POSTLOOP_") and "TEST" not in name]:
        monkeypatch.delenv(name)


def test_the_addresses_are_those_of_the_stack_that_runs_there(tmp_path: Path) -> None:
    leave_stack(tmp_path, os.getpid())
    assert settings_for(tmp_path).kafka_brokers == "127.0.0.1:19092"


def test_where_no_stack_runs_the_default_addresses_are_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_stack(tmp_path, 0)  # its process is gone
    with pytest.raises(typer.Exit) as stopped:
        settings_for(tmp_path)
    assert stopped.value.exit_code == 3
    assert f"no `postloop up` runs on {tmp_path}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("name", "value"),
    [("POSTLOOP_KAFKA_BROKERS", "127.0.0.1:9"), ("POSTLOOP_CLICKHOUSE_URL", "http://127.0.0.1:9")],
)
def test_addresses_that_are_told_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert value in (settings_for(tmp_path).kafka_brokers, settings_for(tmp_path).clickhouse_url)


def test_without_a_data_directory_and_for_what_needs_no_stack_the_defaults_count(tmp_path: Path) -> None:
    assert settings_for(None).kafka_brokers == settings_in_force(tmp_path).kafka_brokers
