"""clickhouse-connect over HTTP finds a ClickHouse server."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.integration.chserver.conftest import Server

_TABLE = """CREATE TABLE kinds (id UInt64, s LowCardinality(String), n Nullable(Int32), e Enum8('a' = 1, 'b' = 2),
    b Bool, d UInt64 DEFAULT id * 2) ENGINE = MergeTree ORDER BY id"""
_BREAKS = "SELECT throwIf(number = 1000000), number FROM numbers(2000000)"


@pytest.fixture
def client(server: Server, database: str) -> Iterator[Any]:
    opened = server.client(database=database)
    opened.command(_TABLE)
    yield opened
    opened.close()


def test_rows_come_back_as_they_went_in(client: Any) -> None:
    rows = [[1, "x", None, "a", True], [2, "ü", -5, "b", False]]
    summary = client.insert("kinds", rows, column_names=["id", "s", "n", "e", "b"])
    assert summary.written_rows == 2
    assert client.query("SELECT * FROM kinds ORDER BY id").result_rows == [
        (1, "x", None, "a", True, 2),
        (2, "ü", -5, "b", False, 4),
    ]


def test_arrow_columns_are_matched_by_name(client: Any) -> None:
    table = pa.table({"b": [True], "e": ["b"], "s": ["y"], "id": pa.array([7], pa.uint64())})
    client.insert_arrow("kinds", table)
    assert client.query("SELECT * FROM kinds").result_rows == [(7, "y", None, "b", True, 14)]


@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
def test_raw_inserts_arrive(client: Any, compression: str | None) -> None:
    block = b'{"id": 1, "s": "q"}\n{"id": 2}\n'
    if compression:
        block = _compressed(block, compression)
    client.raw_insert("kinds", insert_block=block, fmt="JSONEachRow", compression=compression)
    assert client.query("SELECT id, s, d FROM kinds ORDER BY id").result_rows == [(1, "q", 2), (2, "", 4)]


def _compressed(block: bytes, compression: str) -> bytes:
    import gzip

    import lz4.frame
    import zstandard

    return {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstandard.compress}[compression](block)


@pytest.mark.parametrize("value", ["plain", "it's", "back\\slash", "tab\tline\n", "ü", ""])
def test_parameters_arrive_unchanged(server: Server, client: Any, value: str) -> None:
    assert client.query("SELECT {v:String}", parameters={"v": value}).result_rows == [(value,)]
    assert client.query("SELECT %(v)s", parameters={"v": value}).result_rows == [(value,)]
    form = server.client(form_encode_query_params=True)
    assert form.query("SELECT {v:String}", parameters={"v": value}).result_rows == [(value,)]


def test_arrow_and_streams_are_read_whole(client: Any) -> None:
    assert client.query_arrow("SELECT number FROM numbers(100000)").num_rows == 100_000
    with client.query_arrow_stream("SELECT number FROM numbers(300000)") as stream:
        assert sum(batch.num_rows for batch in stream) == 300_000
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1000000)") as stream:
        assert sum(len(block) for block in stream) == 1_000_000
    assert client.query_np("SELECT number FROM numbers(3)").tolist() == [[0], [1], [2]]


@pytest.mark.parametrize("compress", [True, False, "gzip", "lz4", "zstd", "deflate"])
def test_answers_are_the_same_in_every_encoding(server: Server, compress: bool | str) -> None:
    rows = server.client(compress=compress).query("SELECT number FROM numbers(200000)").result_rows
    assert rows == [(number,) for number in range(200_000)]


def test_empty_results_keep_their_columns(client: Any) -> None:
    assert client.query("SELECT 1 AS x LIMIT 0").column_names == ("x",)
    assert client.query("SELECT 1 AS x WHERE 0").result_rows == []


def test_a_command_returns_a_value_or_nothing(client: Any) -> None:
    assert client.command("SELECT 5") == 5
    assert client.command("SHOW TABLES") == "kinds"
    assert client.command("DROP TABLE IF EXISTS absent").as_query_result().result_rows is not None


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT * FROM absent", 60, "UNKNOWN_TABLE"),
        ("SELCT 1", 62, "SYNTAX_ERROR"),
        ("SELECT absent(1)", 46, "UNKNOWN_FUNCTION"),
        ("SELECT * FROM absent.t", 81, "UNKNOWN_DATABASE"),
        (_BREAKS, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_errors_have_number_and_name(client: Any, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(sql)
    assert (caught.value.code, caught.value.name) == (code, name)


@pytest.mark.parametrize("compress", [True, False, "gzip", "zstd"])
def test_a_result_that_breaks_off_is_never_taken_for_whole(server: Server, compress: bool | str) -> None:
    client = server.client(compress=compress)
    with pytest.raises(StreamFailureError) as caught, client.query_row_block_stream(_BREAKS) as stream:
        for _ in stream:
            pass
    assert caught.value.code == 395


def test_settings_hold_for_one_query(client: Any) -> None:
    sql = "SELECT getSetting('max_threads'), getSetting('log_comment')"
    usual = client.query(sql).result_rows
    assert client.query(sql, settings={"max_threads": 3, "log_comment": "a'b\\"}).result_rows == [
        (3, "a'b\\")
    ]
    assert client.query(sql).result_rows == usual


def test_set_and_use_hold_for_their_session(server: Server, client: Any, database: str) -> None:
    other = server.client()
    client.command("SET max_threads = 7")
    assert client.command("SELECT getSetting('max_threads')") == 7
    assert other.command("SELECT getSetting('max_threads')") != 7
    other.command(f"USE {database}")
    assert other.command("SELECT currentDatabase()") == database
    other.command("USE default")
    assert other.command("SELECT currentDatabase()") == "default"


async def test_the_asynchronous_client_works_too(server: Server) -> None:
    import clickhouse_connect

    client = await clickhouse_connect.get_async_client(host="127.0.0.1", port=server.port)
    result = await client.query("SELECT number FROM numbers(1000)")
    assert len(result.result_rows) == 1000
    await client.close()
