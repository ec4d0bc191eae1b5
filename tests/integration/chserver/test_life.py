"""Start, stop, and what a killed server leaves behind."""

import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from tests.integration.chserver.conftest import Server
from tests.support.processes import wait_until

_TABLE = (
    "CREATE TABLE IF NOT EXISTS t (run UInt32, i UInt32) ENGINE = MergeTree ORDER BY (run, i)"
    " SETTINGS non_replicated_deduplication_window = 10000"
)
_ROWS = 500


def _store(server: Server, run: int) -> bool:
    """Store one run of rows; False when the server did not say that it is stored."""
    body = b"".join(b"%d,%d\n" % (run, i) for i in range(_ROWS))
    try:
        answer = server.post("INSERT INTO t FORMAT CSV", body, insert_deduplication_token=f"run:{run}")
    except (OSError, HTTPException):
        return False
    return answer.status == 200


def _write_until_killed(server: Server, first: int, stored: set[int], is_killed: threading.Event) -> None:
    run = first
    while not is_killed.is_set() and _store(server, run):
        stored.add(run)
        run += 1


def test_a_killed_server_opens_again_with_all_it_acknowledged(new_server: Callable[..., Server]) -> None:
    stored: set[int] = set()
    server = new_server()
    for attempt in range(4):
        server.start()
        server.run(_TABLE)
        is_killed = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            for writer in range(2):
                pool.submit(
                    _write_until_killed, server, attempt * 100_000 + writer * 10_000, stored, is_killed
                )
            goal = len(stored) + 5 + attempt
            wait_until(lambda goal=goal: len(stored) >= goal, timeout_s=20, what="some runs are stored")
            server.process.kill()
            is_killed.set()
    server.start()
    found = dict(server.rows("SELECT run, count() FROM t GROUP BY run"))
    assert stored <= set(found)
    # A run is one part: stored whole or not at all.
    assert set(found.values()) == {_ROWS}


def test_a_second_server_on_the_same_directory_says_so(new_server: Callable[..., Server]) -> None:
    first = new_server().start()
    second = new_server()
    second.process.start()
    assert second.process.wait(timeout_s=30) == 2
    log = second.process.log_tail()
    assert (
        f"The data directory {first.path} is in use by another process: stop it, or use another --path."
        in log
    )
    assert "Traceback" not in log
    assert first.post("SELECT 1").body == b"1\n"


def test_a_taken_port_is_named(new_server: Callable[..., Server]) -> None:
    server = new_server()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        server.process.start()
        assert server.process.wait(timeout_s=30) == 2
    log = server.process.log_tail()
    assert f"Port {server.port} on 127.0.0.1 is taken" in log
    assert "Traceback" not in log


def test_an_unwritable_directory_is_named(new_server: Callable[..., Server]) -> None:
    server = new_server(name="file/data")
    server.path.parent.write_text("not a directory")
    server.process.log_path = server.path.parent.with_suffix(".log")
    server.process.start()
    assert server.process.wait(timeout_s=30) == 2
    assert f"The data directory {server.path} cannot be opened" in server.process.log_tail()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_the_insert_that_runs(
    new_server: Callable[..., Server], number: signal.Signals
) -> None:
    server = new_server().start()
    server.run(_TABLE)
    sql = "INSERT INTO t SELECT 1, sleepEachRow(0.1) FROM numbers(15) SETTINGS max_block_size = 1"
    with ThreadPoolExecutor(1) as pool:
        insert = pool.submit(server.post, sql, None, query_id="last")
        running = "SELECT count() FROM system.processes WHERE query_id = 'last'"
        wait_until(lambda: server.rows(running) == [[1]], timeout_s=10, what="the insert runs")
        server.process.send(number)
        assert insert.result().status == 200
    assert server.process.wait(timeout_s=5) == 0
    server.start()
    assert server.rows("SELECT count() FROM t") == [[15]]


def test_a_stop_takes_at_most_five_seconds(new_server: Callable[..., Server]) -> None:
    server = new_server().start()
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(
            server.post,
            "SELECT sleepEachRow(0.1) FROM numbers(300) SETTINGS max_block_size = 1",
            None,
            query_id="long",
        )
        running = "SELECT count() FROM system.processes WHERE query_id = 'long'"
        wait_until(lambda: server.rows(running) == [[1]], timeout_s=10, what="the query runs")
        began_s = time.monotonic()
        server.process.send(signal.SIGTERM)
        wait_until(
            lambda: server.post("SELECT 1").status == 503, timeout_s=2, what="new requests are refused"
        )
        assert server.process.wait(timeout_s=10) == 0
        assert time.monotonic() - began_s < 5
        with pytest.raises((OSError, HTTPException)):
            assert read.result().status == 200


def test_a_free_port_is_told(new_server: Callable[..., Server]) -> None:
    server = new_server("--port", "0")
    server.process.start()
    found = wait_until(
        lambda: re.search(r'"clickhouse": "http://127\.0\.0\.1:(\d+)"', server.process.log_tail()),
        timeout_s=30,
        what="the ready line",
        process=server.process,
    )
    server.port = int(found.group(1))
    assert server.post("SELECT 1").body == b"1\n"
