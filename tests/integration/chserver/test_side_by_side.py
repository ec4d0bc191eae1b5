"""Several clients at once: readers, writers, and ends of queries."""

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from postloop.adapters.clickhouse import PATIENT, URGENT
from tests.integration.chserver.conftest import Server
from tests.support.processes import wait_until

# About 20 s of work in single rows, so that a query can be met while it runs.
_SLOW = "SELECT sleepEachRow(0.1) FROM numbers(200) SETTINGS max_block_size = 1"
_MINE = "SELECT count() FROM system.processes WHERE {}"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def _running(server: Server, condition: str) -> Callable[[], bool]:
    # One's own query is in the list too, with its text and settings.
    return lambda: (
        server.rows(_MINE.format(f"({condition}) AND query NOT LIKE '%system.processes%'"))[0][0] > 0
    )


def _in_flight(server: Server) -> float:
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    return next(
        float(line.split()[1]) for line in lines if line.startswith("postloop_clickhouse_requests_in_flight ")
    )


def test_what_nobody_waits_for_stands_still_while_somebody_waits(
    server: Server, threads: ThreadPoolExecutor
) -> None:
    waits = "SELECT value FROM system.metrics WHERE name = 'QueryPreempted'"
    patient = threads.submit(
        server.run, "SELECT sum(cityHash64(number)) FROM numbers(100000000)", **PATIENT, query_id="patient"
    )
    wait_until(_running(server, "query_id = 'patient'"), timeout_s=10, what="the patient query runs")
    urgent = threads.submit(server.run, _SLOW.replace("200", "20"), **URGENT)
    wait_until(lambda: server.rows(waits)[0][0] > 0, timeout_s=10, what="the patient query waits")
    assert not patient.done()
    assert urgent.result().status == patient.result().status == 200


@pytest.mark.parametrize(
    ("settings", "nice"), [(URGENT, -10), (PATIENT, 15), ({}, 5), ({"os_thread_priority": 3}, 3)]
)
def test_threads_of_a_query_rank_by_its_priority(
    server: Server, threads: ThreadPoolExecutor, settings: dict[str, int], nice: int
) -> None:
    asked = server.run("SELECT value FROM system.settings WHERE name = 'os_thread_priority'", **settings)
    assert asked.body == f"{nice}\n".encode()
    if not _may_rank(server.process.pid):
        return  # the engine leaves them as they are, and answers all the same
    query = threads.submit(server.run, _SLOW.replace("200", "10"), **settings)
    wait_until(lambda: nice in _nice_values(server.process.pid), timeout_s=10, what=f"a thread has {nice}")
    assert query.result().status == 200


def _may_rank(pid: int) -> bool:
    """Return whether a process has CAP_SYS_NICE, number 23 of capabilities(7)."""
    status = Path(f"/proc/{pid}/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> 23 & 1)


def _nice_values(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            found.add(os.getpriority(os.PRIO_PROCESS, int(task.name)))
    return found


def test_readers_see_only_growing_counts_while_rows_arrive(
    server: Server, database: str, threads: ThreadPoolExecutor
) -> None:
    server.run(f"CREATE TABLE {database}.t (a UInt64) ENGINE = MergeTree ORDER BY a")
    body = b"".join(b"%d\n" % i for i in range(1000))
    is_over = threading.Event()

    def write() -> None:
        for _ in range(25):
            server.run(f"INSERT INTO {database}.t FORMAT CSV", body)

    def read() -> list[int]:
        seen = []
        while not is_over.is_set():
            seen.append(server.rows(f"SELECT count() FROM {database}.t")[0][0])
        return seen

    readers = [threads.submit(read) for _ in range(3)]
    for writer in [threads.submit(write) for _ in range(3)]:
        writer.result()
    is_over.set()
    for reader in readers:
        seen = reader.result()
        assert seen == sorted(seen)
        assert all(count % 1000 == 0 for count in seen)
        assert len(seen) > 1
    assert server.rows(f"SELECT count() FROM {database}.t") == [[75_000]]


@pytest.mark.parametrize(
    ("values", "condition"),
    [
        ({"log_comment": "run-7"}, "Settings['log_comment'] = 'run-7'"),
        ({"query_id": "topic:0:1-9/2"}, "query_id = 'topic:0:1-9/2'"),
        ({"query_id": "topic:0:1-9/3"}, "startsWith(query_id, 'topic:0:1-9/')"),
    ],
)
def test_a_running_insert_is_found_and_ended(
    server: Server, database: str, threads: ThreadPoolExecutor, values: dict[str, str], condition: str
) -> None:
    server.run(f"CREATE TABLE {database}.t (a UInt8) ENGINE = MergeTree ORDER BY a")
    insert = threads.submit(server.post, f"INSERT INTO {database}.t {_SLOW}", None, **values)
    wait_until(_running(server, condition), timeout_s=10, what="the insert runs")
    began_s = time.monotonic()
    killed = server.run(f"KILL QUERY WHERE {condition} SYNC")
    assert killed.body.startswith(b"finished")
    assert time.monotonic() - began_s < 10
    assert not _running(server, condition)()
    assert insert.result().code == 394
    assert server.rows(f"SELECT count() FROM {database}.t") == [[0]]


def test_a_slow_insert_of_a_body_is_ended_too(
    server: Server, database: str, threads: ThreadPoolExecutor
) -> None:
    server.run(
        f"CREATE TABLE {database}.t (a UInt8, s UInt8 MATERIALIZED sleepEachRow(0.02)) ENGINE = MergeTree ORDER BY a"
    )
    values = {
        "query_id": "slow-body",
        "max_block_size": 1,
        "max_insert_block_size": 1,
        "min_insert_block_size_rows": 1,
    }
    insert = threads.submit(server.post, f"INSERT INTO {database}.t FORMAT CSV", b"1\n" * 1000, **values)
    wait_until(_running(server, "query_id = 'slow-body'"), timeout_s=10, what="the insert runs")
    server.run("KILL QUERY WHERE query_id = 'slow-body' SYNC")
    assert insert.result().code == 394


def test_a_kill_waits_for_an_insert_whose_body_is_on_its_way(
    server: Server, database: str, threads: ThreadPoolExecutor
) -> None:
    """Who takes over ends the other's inserts and then looks: none may be stored after that."""
    server.run(f"CREATE TABLE {database}.t (a UInt8) ENGINE = MergeTree ORDER BY a")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        target = f"/?query=INSERT+INTO+{database}.t+FORMAT+CSV&query_id=late"
        client.sendall(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1\n".encode())
        wait_until(
            lambda: _in_flight(server) == 1,
            timeout_s=5,
            what="it has begun",
        )
        kill = threads.submit(server.post, "KILL QUERY WHERE query_id = 'late' SYNC")
        wait_until(
            lambda: _in_flight(server) == 2,
            timeout_s=5,
            what="the KILL waits",
        )
        assert not kill.done()
        client.sendall(b"2\n")
        assert kill.result().status == 200
        count = server.rows(f"SELECT count() FROM {database}.t")[0][0]
        client.recv(65536)
    assert server.rows(f"SELECT count() FROM {database}.t")[0][0] == count


def test_a_read_ends_when_its_client_goes_away(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/?query_id=left-alone", body=_SLOW.encode())
    is_running = _running(server, "query_id = 'left-alone'")
    wait_until(is_running, timeout_s=10, what="the query runs")
    connection.close()
    wait_until(lambda: not is_running(), timeout_s=5, what="the query was ended")


def test_a_stream_ends_when_its_client_goes_away(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/?query_id=left-stream", body=b"SELECT number FROM system.numbers FORMAT TSV")
    assert connection.getresponse().read(10)
    connection.close()
    wait_until(
        lambda: not _running(server, "query_id = 'left-stream'")(), timeout_s=5, what="the stream was ended"
    )


def test_an_insert_is_finished_when_its_client_goes_away(server: Server, database: str) -> None:
    server.run(f"CREATE TABLE {database}.t (a UInt8) ENGINE = MergeTree ORDER BY a")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    sql = f"INSERT INTO {database}.t SELECT sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 1"
    connection.request("POST", "/?query_id=orphan", body=sql.encode())
    wait_until(_running(server, "query_id = 'orphan'"), timeout_s=10, what="the insert runs")
    connection.close()
    wait_until(
        lambda: server.rows(f"SELECT count() FROM {database}.t") == [[10]], timeout_s=10, what="it is stored"
    )


def test_an_insert_whose_client_left_before_it_began_is_not_run(new_server: Callable[..., Server]) -> None:
    """The server was paused: its client gave up long ago, and others have acted on what was not stored."""
    server = new_server().start()
    server.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536)
            server.process.send(signal.SIGSTOP)
            head = b"POST /?query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
            client.sendall(head + b"1\n")
        server.process.send(signal.SIGCONT)
    assert server.run("KILL QUERY WHERE 0 SYNC").status == 200
    assert server.rows("SELECT count() FROM t") == [[0]]


def test_an_insert_ends_at_its_time_limit(server: Server, database: str) -> None:
    server.run(
        f"CREATE TABLE {database}.t (a UInt8, s UInt8 MATERIALIZED sleepEachRow(0.02)) ENGINE = MergeTree ORDER BY a"
    )
    values = {
        "max_execution_time": 1,
        "max_block_size": 1,
        "max_insert_block_size": 1,
        "min_insert_block_size_rows": 1,
    }
    began_s = time.monotonic()
    answer = server.post(f"INSERT INTO {database}.t FORMAT CSV", b"1\n" * 1000, **values)
    assert (answer.code, answer.status) == (159, 408)
    assert time.monotonic() - began_s < 10


def test_the_same_query_id_does_not_run_twice(server: Server, threads: ThreadPoolExecutor) -> None:
    first = threads.submit(server.post, _SLOW, None, query_id="twice", wait_end_of_query=1)
    wait_until(_running(server, "query_id = 'twice'"), timeout_s=10, what="the first runs")
    assert server.post("SELECT 1", query_id="twice").code == 216
    server.run("KILL QUERY WHERE query_id = 'twice' SYNC")
    assert first.result().code == 394


def test_too_many_readers_are_refused_and_writers_still_served(
    new_server: Callable[..., Server], threads: ThreadPoolExecutor
) -> None:
    server = new_server("--max-queries", "4", "--queue-timeout-s", "0.5").start()
    server.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    slow = [
        threads.submit(server.post, _SLOW, None, query_id=f"slow-{i}", wait_end_of_query=1) for i in range(2)
    ]
    wait_until(lambda: _in_flight(server) == 2, timeout_s=5, what="both reads run")
    refused = server.post("SELECT 1")
    assert (refused.status, refused.code) == (503, 202)
    assert b"4 at once, none ended within 0.5 s" in refused.body
    server.run("INSERT INTO t VALUES (1)")
    server.run("KILL QUERY WHERE startsWith(query_id, 'slow-') SYNC")
    assert {future.result().code for future in slow} == {394}


def test_memory_stays_flat_while_a_large_result_streams(server: Server) -> None:
    import psutil

    process = psutil.Process(server.process.pid)
    server.post("SELECT number FROM numbers(100000) FORMAT TSV")
    before = process.memory_info().rss
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/", body=b"SELECT number, toString(number) FROM numbers(10000000) FORMAT TSV")
    response, size, peak = connection.getresponse(), 0, before
    while piece := response.read(1024 * 1024):
        size += len(piece)
        peak = max(peak, process.memory_info().rss)
    connection.close()
    assert size > 150_000_000
    assert peak - before < 100_000_000
