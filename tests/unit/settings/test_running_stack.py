"""How commands find a running `postloop up`, and what they make of one that is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from postloop.settings import STACK_FILE, Settings, load_settings, running_stack

ADDRESSES = {"kafka_brokers": "127.0.0.1:19092", "clickhouse_url": "http://127.0.0.1:18123"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("POSTLOOP_")]:
        monkeypatch.delenv(name)


def leave(directory: Path, **content: object) -> None:
    (directory / STACK_FILE).write_text(json.dumps({"settings": ADDRESSES, "pid": os.getpid(), **content}))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_running_stack_fills_in_its_addresses(tmp_path: Path) -> None:
    leave(tmp_path)
    assert load_settings(data_dir=tmp_path).kafka_brokers == "127.0.0.1:19092"


def test_the_file_of_a_dead_process_is_no_running_stack(tmp_path: Path) -> None:
    leave(tmp_path, pid=dead_pid())
    assert running_stack(tmp_path) == {}
    assert load_settings(data_dir=tmp_path).kafka_brokers == Settings.model_fields["kafka_brokers"].default


def test_the_environment_wins_over_a_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path)
    monkeypatch.setenv("POSTLOOP_KAFKA_BROKERS", "kafka:9092")
    settings = load_settings(data_dir=tmp_path)
    assert (settings.kafka_brokers, settings.clickhouse_url) == ("kafka:9092", "http://127.0.0.1:18123")


def test_names_that_are_no_settings_are_left_out(tmp_path: Path) -> None:
    leave(tmp_path, settings={**ADDRESSES, "of_a_later_release": "1"})
    assert running_stack(tmp_path) == ADDRESSES


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="torn"),
        pytest.param("[]", id="a list"),
        pytest.param('{"settings": {}}', id="without pid"),
        pytest.param('{"settings": null, "pid": 1}', id="without settings"),
        pytest.param('{"settings": {}, "pid": "x"}', id="pid is a word"),
        pytest.param('{"settings": {}, "pid": null}', id="pid is null"),
        pytest.param('{"settings": {}, "pid": -1}', id="pid of every process"),
    ],
)
def test_a_file_that_makes_no_sense_is_no_running_stack(text: str, tmp_path: Path) -> None:
    (tmp_path / STACK_FILE).write_text(text)
    assert running_stack(tmp_path) == {}
