"""The process: it says what keeps it from starting, and ends in peace when it is told to."""

import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import python_module, wait_until

AWAY = {"POSTLOOP_KAFKA_BROKERS": "127.0.0.1:1", "POSTLOOP_CLICKHOUSE_URL": "http://127.0.0.1:1"}


def test_it_starts_without_its_parts_names_them_and_ends_on_sigterm(tmp_path: Path) -> None:
    port = free_port()
    options = ("--port", str(port))
    with python_module("postloop.api", *options, log_path=tmp_path / "api.log", env=AWAY) as process:

        def ready() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                    return int(answer.status), ""
            except urllib.error.HTTPError as error:
                return int(error.code), error.read().decode()
            except OSError:
                return 0, ""

        wait_until(lambda: ready()[0] == 503, timeout_s=30, what="it answers", process=process)
        assert all(part in ready()[1] for part in ("clickhouse", "kafka", "blocklist"))
        process.send(signal.SIGTERM)
        assert process.wait(timeout_s=15) == 0


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = python_module(
            "postloop.api", "--port", str(port), log_path=tmp_path / "api.log", env=AWAY
        ).start()
        assert process.wait(timeout_s=30) == 2
    said = process.log_path.read_text()
    assert said == f"error: port {port} on 127.0.0.1 is taken: set POSTLOOP_API_PORT to a free one\n"


def test_a_policy_of_reputation_that_there_is_not_is_told_in_a_sentence(tmp_path: Path) -> None:
    env = {**AWAY, "POSTLOOP_REPUTATION_POLICY": "nobodys"}
    process = python_module("postloop.api", "--port", "0", log_path=tmp_path / "api.log", env=env).start()
    assert process.wait(timeout_s=30) == 2
    assert process.log_path.read_text().startswith("error: POSTLOOP_REPUTATION_POLICY is one of ")
