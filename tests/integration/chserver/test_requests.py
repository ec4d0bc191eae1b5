"""The HTTP side: where SQL may stand, encodings, limits, access, errors."""

import gzip
import json
import shutil
import socket
import subprocess
import time
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard

from tests.integration.chserver.conftest import Server

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.compress,
}


def _curl(server: Server, *arguments: str, target: str = "/") -> tuple[int, str]:
    curl = shutil.which("curl")
    assert curl is not None, "curl is needed for this test: install it"
    command = [curl, "-sS", "--max-time", "30", *arguments, f"http://127.0.0.1:{server.port}{target}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode()


def test_curl_gets_what_the_documentation_of_clickhouse_shows(server: Server, database: str) -> None:
    assert _curl(server) == (0, "Ok.\n")
    assert _curl(server, target="/ping") == (0, "Ok.\n")
    assert _curl(server, target="/?query=SELECT%201") == (0, "1\n")
    assert _curl(server, "-d", "SELECT 1") == (0, "1\n")
    _curl(server, "-d", f"CREATE TABLE {database}.t (a UInt8) ENGINE = Memory")
    assert _curl(server, "-d", "(1),(2),(3)", target=f"/?query=INSERT%20INTO%20{database}.t%20VALUES") == (
        0,
        "",
    )
    assert _curl(
        server, "-d", f"SELECT sum(a) FROM {database}.t", "-H", "Accept-Encoding: gzip", "--compressed"
    ) == (0, "6\n")
    assert (
        _curl(server, "-d", "SELECT {x:UInt8} + 1 AS y FORMAT JSONEachRow", target="/?param_x=4")[1]
        == '{"y":5}\n'
    )


def test_curl_sees_that_a_result_broke_off(server: Server) -> None:
    code, body = _curl(server, "-d", "SELECT throwIf(number = 1000000) FROM numbers(2000000)")
    assert code == 18  # transfer closed with data outstanding
    assert body.count("__exception__") == 2
    assert "Code: 395. DB::Exception: " in body


def test_the_text_of_url_and_body_is_one_statement(server: Server) -> None:
    assert server.post("SELECT 1 +", b"2").body == b"3\n"


@pytest.mark.parametrize("encoding", _COMPRESS)
def test_compressed_requests_are_understood(server: Server, encoding: str) -> None:
    body = _COMPRESS[encoding](b"SELECT 'x'")
    answer = server.request("POST", "/", body, Content_Encoding=encoding)
    assert (answer.status, answer.body) == (200, b"x\n")
    damaged = server.request("POST", "/", body[: len(body) // 2], Content_Encoding=encoding)
    assert damaged.code == 271


@pytest.mark.parametrize(
    "sql", ["SELECT number FROM numbers(500000) FORMAT TSV", "SELECT number FROM numbers(9) FORMAT JSON"]
)
@pytest.mark.parametrize(
    ("encoding", "unpack"),
    [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("lz4", lz4.frame.decompress)],
)
def test_compressed_answers_hold_the_same_bytes(
    server: Server, sql: str, encoding: str, unpack: Callable[[bytes], bytes]
) -> None:
    plain = server.post(sql)
    packed = server.request("POST", "/", sql.encode(), Accept_Encoding=encoding)
    assert packed.headers["Content-Encoding"] == encoding
    assert unpack(packed.body)[:200] == plain.body[:200]
    assert "Content-Encoding" not in plain.headers
    off = server.request("POST", "/?enable_http_compression=0", sql.encode(), Accept_Encoding=encoding)
    assert "Content-Encoding" not in off.headers


def test_headers_say_what_came_back(server: Server) -> None:
    answer = server.post("SELECT 1 FORMAT JSON", query_id="my id")
    assert answer.headers["X-ClickHouse-Format"] == "JSON"
    assert answer.headers["X-ClickHouse-Query-Id"] == "my id"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["Content-Type"].startswith("application/json")
    assert server.post("SELECT 1", default_format="CSV").headers["X-ClickHouse-Format"] == "CSV"
    assert "X-ClickHouse-Format" not in server.post("DROP TABLE IF EXISTS absent").headers


def test_a_query_id_cannot_add_a_header(server: Server) -> None:
    answer = server.post("SELECT 1", query_id="a\r\nX-Evil: 1")
    assert answer.status == 200
    assert "X-Evil" not in answer.headers


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELCT 1", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("", 400, 62),
        ("SELECT absent", 404, 47),
        ("SELECT * FROM absent", 404, 60),
        ("SELECT 1 FORMAT Absent", 404, 73),
        ("SELECT toUInt8(unhex('80ff'))", 400, 6),
        ("CREATE ROLE r", 403, 497),
        ("SELECT throwIf(1)", 500, 395),
        ("INSERT INTO absent FORMAT CSV\n1", 404, 60),
        (
            "SELECT groupArray(number) FROM numbers(1000000000) SETTINGS max_memory_usage = 100000000",
            500,
            241,
        ),
    ],
)
def test_errors_have_the_status_that_clickhouse_gives(
    server: Server, sql: str, status: int, code: int
) -> None:
    answer = server.post(sql)
    assert (answer.status, answer.code) == (status, code)
    assert answer.body.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_an_error_leaves_nothing_to_the_next_query(server: Server) -> None:
    for _ in range(20):
        server.post("SELECT throwIf(1), sum(number) FROM numbers(10) FORMAT JSON")
        assert server.post("SELECT 1").body == b"1\n"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"absent": 1}, 115),
        ({"max_threads": "x"}, 27),
        ({"a b": 1}, 115),
        ({"database": "absent"}, 81),
        ({"compress": 1}, 48),
    ],
)
def test_bad_url_parameters_are_named_errors(server: Server, values: dict[str, object], code: int) -> None:
    assert server.post("SELECT 1", **values).code == code


def test_transport_settings_do_not_reach_the_engine(server: Server) -> None:
    values = {
        "wait_end_of_query": 1,
        "buffer_size": 1,
        "client_protocol_version": 54405,
        "quota_key": "k",
        "role": "r",
    }
    values |= {"send_progress_in_http_headers": 1, "session_id": "s", "session_timeout": 60}
    assert server.post("SELECT 1", **values).body == b"1\n"


def test_get_reads_only(server: Server, database: str) -> None:
    answer = server.request("GET", f"/?query=CREATE+TABLE+{database}.t+(a+UInt8)+ENGINE=Memory")
    assert answer.code == 164
    assert server.request("GET", "/?query=SELECT+1&max_threads=1").body == b"1\n"


def test_a_body_that_does_not_arrive_in_time_is_not_run(new_server: Callable[..., Server]) -> None:
    server = new_server("--body-timeout-s", "0.5").start()
    server.run("CREATE TABLE t (a UInt8) ENGINE = Memory")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            b"POST /?query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1\n"
        )
        head = client.recv(65536)
        assert b"408" in head.split(b"\r\n")[0]
        client.sendall(b"2\n")
        deadline_s = time.monotonic() + 5
        while client.recv(65536) and time.monotonic() < deadline_s:
            pass
    assert server.rows("SELECT count() FROM t") == [[0]]


def test_a_body_above_the_limit_is_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nSELECT 1")
        assert b"413" in client.recv(65536).split(b"\r\n")[0]


def test_user_and_password_are_checked_when_given(
    new_server: Callable[..., Server], tmp_path: object
) -> None:
    from pathlib import Path

    secret = Path(str(tmp_path)) / "secret"
    secret.write_text("s3cret\n")
    server = new_server("--user", "postloop", "--password-file", str(secret))
    server.start()
    assert (server.post("SELECT 1").status, server.post("SELECT 1").code) == (401, 194)
    assert (server.post("SELECT 1", user="postloop", password="wrong").status) == 403
    assert server.post("SELECT 1", user="other", password="s3cret").code == 516
    assert (
        server.request(
            "POST", "/", b"SELECT 1", X_ClickHouse_User="postloop", X_ClickHouse_Key="s3cret"
        ).status
        == 200
    )
    assert server.client(username="postloop", password="s3cret").command("SELECT 1") == 1
    assert server.request("GET", "/ping").status == 200


def test_metrics_count_what_happened(server: Server) -> None:
    server.post("SELECT 1")
    text = server.request("GET", "/metrics").body.decode()
    assert 'postloop_clickhouse_queries_total{kind="select"}' in text
    assert "postloop_clickhouse_query_seconds_bucket" in text
    assert "postloop_clickhouse_requests_in_flight 0.0" in text


@pytest.mark.parametrize("encoding", ["", "gzip", "lz4", "zstd"])
@pytest.mark.parametrize("rows", [0, 1, 3_000, 60_000, 400_000])
def test_results_of_every_size_are_whole(server: Server, rows: int, encoding: str) -> None:
    sql = b"SELECT number FROM numbers(%d)" % rows
    answer = server.request("POST", "/", sql, Accept_Encoding=encoding)
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "lz4": lz4.frame.decompress,
        "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    }
    body = unpack.get(encoding, bytes)(answer.body)
    assert body == b"".join(b"%d\n" % number for number in range(rows))
    # Up to 1 MiB the counts are known before the first byte is sent.
    is_streamed = len(body) > 1 << 20
    assert ("Content-Length" in answer.headers) is not is_streamed
    counted = json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"]
    assert counted == ("0" if is_streamed else str(rows))
