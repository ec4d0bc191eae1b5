"""A worker that cannot work says in one sentence why, and exits with the right code."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postloop.adapters import migrations, topic_admin
from postloop.adapters.clickhouse import connect
from postloop.settings import Settings
from tests.integration.servers import Postloop, clickhouse, command_line
from tests.support.brokers import Broker
from tests.support.ports import free_port
from tests.support.processes import python_module, wait_until
from tests.support.stopping_worker import MOMENTS

__all__ = ["clickhouse", "command_line"]

Worker = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def worker(broker: Broker, clickhouse: str, topic_prefix: str, command_line: Postloop) -> Worker:
    """Return a runner of `postloop worker recorder` until it ends by itself."""

    def run(**settings: str) -> "subprocess.CompletedProcess[str]":
        there = {
            "kafka_brokers": broker.bootstrap,
            "clickhouse_url": clickhouse,
            "topic_prefix": topic_prefix,
        }
        return command_line("worker", "recorder", **{**there, "health_port": "0", **settings})

    return run


def said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the lines for a person: every failure has one, and nothing else is said."""
    lines = done.stderr.splitlines()
    assert lines and all(line.startswith("error: ") for line in lines), done.stderr
    return lines


@pytest.mark.either_broker
def test_a_missing_database(worker: Worker) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = worker(clickhouse_url=url)
    assert done.returncode == 3
    assert said(done) == [
        f"error: ClickHouse at {url} cannot be reached: nothing listens there (connection refused)"
    ]


def test_a_missing_broker(worker: Worker) -> None:
    port = free_port()
    done = worker(kafka_brokers=f"127.0.0.1:{port}")
    assert (done.returncode, said(done)) == (
        3,
        [f"error: Kafka at 127.0.0.1:{port} cannot be reached: nothing listens there (connection refused)"],
    )


def test_missing_topics_and_tables_are_all_named(worker: Worker, topic_prefix: str) -> None:
    done = worker(clickhouse_database="default")
    assert done.returncode == 3
    lines = said(done)
    assert f"error: topic {topic_prefix}email.send does not exist: run `postloop topics create`" in lines
    assert "error: migration 0001_events_and_rollups is not applied: run `postloop migrate`" in lines


@pytest.mark.either_broker
def test_a_health_port_that_is_taken(
    worker: Worker, broker: Broker, clickhouse: str, topic_prefix: str
) -> None:
    settings = Settings(kafka_brokers=broker.bootstrap, clickhouse_url=clickhouse, topic_prefix=topic_prefix)
    topic_admin.create_topics(settings)
    migrations.apply(connect(settings), settings)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = worker(health_port=str(port))
    assert done.returncode == 2
    assert said(done) == [f"error: port {port} on 127.0.0.1 is taken: set POSTLOOP_HEALTH_PORT to a free one"]


@pytest.fixture
def starting(broker: Broker, clickhouse: str, topic_prefix: str) -> dict[str, str]:
    """Return the environment of a worker whose topics and tables exist."""
    values = {"kafka_brokers": broker.bootstrap, "clickhouse_url": clickhouse, "topic_prefix": topic_prefix}
    settings = Settings(**values)  # type: ignore[arg-type]
    topic_admin.create_topics(settings)
    migrations.apply(connect(settings), settings)
    # Who is told to stop while joining the group hears the broker out first: half a session on the embedded one.
    values |= {"health_port": "0", "session_timeout": "6s", "insert_timeout": "4s"}
    return {f"POSTLOOP_{name.upper()}": value for name, value in values.items()}


@pytest.mark.parametrize("after_s", [0.0, 0.4])
def test_a_worker_that_is_told_to_stop_while_it_starts_ends(
    starting: dict[str, str], tmp_path: Path, after_s: float
) -> None:
    log = tmp_path / "recorder.log"
    with python_module("postloop_streams", "recorder", log_path=log, env=starting) as process:
        wait_until(
            lambda: "worker_starting" in log.read_text(), timeout_s=30, what="it starts", process=process
        )
        time.sleep(after_s)
        assert process.terminate(timeout_s=30) == 0


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_is_told_to_stop_at_a_moment_of_its_start_ends(
    starting: dict[str, str], tmp_path: Path, moment: str
) -> None:
    log = tmp_path / "recorder.log"
    arguments = ("tests.support.stopping_worker", moment, "recorder")
    with python_module(*arguments, log_path=log, env=starting) as process:
        assert process.wait(timeout_s=45) == 0
    assert "recorder_drained" in log.read_text()
    assert "error" not in log.read_text()


@pytest.mark.either_broker
def test_a_setting_that_is_none(worker: Worker) -> None:
    done = worker(kafka_broker="x")
    assert done.returncode == 2
    assert said(done) == [
        "error: POSTLOOP_KAFKA_BROKER is not a setting of Postloop; did you mean POSTLOOP_KAFKA_BROKERS?"
    ]
