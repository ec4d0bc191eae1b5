"""Fixtures of tests that need a ClickHouse server of their own beside the broker."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postloop.adapters.clickhouse import connect
from postloop.domain.errors import PostloopError
from postloop.settings import Settings
from tests.support.command_line import run_postloop
from tests.support.database import clickhouse_server, copy_migrated
from tests.support.ports import free_port
from tests.support.processes import wait_until

Postloop = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ClickHouse without any tables."""
    with _serving(tmp_path_factory.mktemp("clickhouse") / "data") as url:
        yield url


@pytest.fixture(scope="module")
def migrated_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ClickHouse whose default database has the current schema."""
    with _serving(copy_migrated(tmp_path_factory.mktemp("clickhouse") / "data")) as url:
        yield url


@contextmanager
def _serving(path: Path) -> Iterator[str]:
    port = free_port()
    settings = Settings(clickhouse_url=f"http://127.0.0.1:{port}")

    def answers() -> bool:
        try:
            return bool(connect(settings, timeout_s=5).server_version)
        except PostloopError:
            return False

    with clickhouse_server(path, port) as server:
        wait_until(answers, timeout_s=30, what="ClickHouse answers", process=server)
        yield settings.clickhouse_url


@pytest.fixture
def command_line(tmp_path: Path) -> Postloop:
    """Return a runner of the command line in an empty directory: words, and settings by name."""

    def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        env = {f"POSTLOOP_{name.upper()}": value for name, value in settings.items()}
        return run_postloop(*arguments, env={**os.environ, "COLUMNS": "200", **env}, cwd=tmp_path)

    return run
