"""What an insert stores, and as how many parts."""

import json
import subprocess

import pytest

from tests.integration.chserver.conftest import Server

_COLUMNS = (
    "id UInt64, s LowCardinality(String), n Nullable(Int32), e Enum8('a' = 1, 'b' = 2), b Bool, f Float64"
)
_FORMATS = [
    "Native", "Arrow", "ArrowStream", "Parquet", "CSV", "CSVWithNames", "TSV", "TabSeparatedWithNamesAndTypes", "TSKV",
    "RowBinary", "RowBinaryWithNamesAndTypes", "Values", "JSONEachRow", "JSONCompactEachRow", "JSON",
]  # fmt: skip
_ROLLUP = """CREATE MATERIALIZED VIEW {db}.mv TO {db}.sums AS
    SELECT id % 10 AS k, toInt64(count()) AS c FROM {db}.t GROUP BY k"""


def _lines(count: int, *, first: int = 0, pad: int = 0) -> bytes:
    return b"".join(json.dumps({"id": first + i, "s": "x" * pad}).encode() + b"\n" for i in range(count))


@pytest.fixture
def table(server: Server, database: str) -> str:
    server.run(
        f"CREATE TABLE {database}.t ({_COLUMNS}, d UInt64 DEFAULT id * 2) ENGINE = MergeTree ORDER BY id"
        " SETTINGS non_replicated_deduplication_window = 1000"
    )
    return f"{database}.t"


@pytest.mark.parametrize("name", _FORMATS)
def test_every_format_stores_the_same_rows(server: Server, database: str, table: str, name: str) -> None:
    server.run(f"CREATE TABLE {database}.source ({_COLUMNS}) ENGINE = MergeTree ORDER BY id")
    server.run(
        f"INSERT INTO {database}.source SELECT number, concat('v', number % 3), if(number % 2, NULL, number),"
        " 1 + number % 2, number % 2, number / 3 FROM numbers(1000)"
    )
    data = server.run(f"SELECT * FROM {database}.source ORDER BY id FORMAT {name}").body
    answer = server.run(f"INSERT INTO {table} (id, s, n, e, b, f) FORMAT {name}", data)
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "1000"
    stored = f"SELECT * FROM {table} ORDER BY id"
    assert server.rows(f"SELECT * EXCEPT(d) FROM ({stored})") == server.rows(
        f"SELECT * FROM {database}.source ORDER BY id"
    )
    assert server.rows(f"SELECT sum(d) FROM {table}") == [[999_000]]


@pytest.mark.parametrize("pad", [0, 1000])
def test_fifty_thousand_rows_are_one_part(server: Server, database: str, table: str, pad: int) -> None:
    server.run(f"INSERT INTO {table} FORMAT JSONEachRow", _lines(50_000, pad=pad), async_insert=1)
    parts = f"SELECT rows FROM system.parts WHERE database = '{database}' AND table = 't' AND active"
    assert server.rows(parts) == [[50_000]]


def test_a_repeated_token_stores_nothing_twice(server: Server, database: str, table: str) -> None:
    server.run(
        f"CREATE TABLE {database}.sums (k UInt64, c SimpleAggregateFunction(sum, Int64)) ENGINE = AggregatingMergeTree"
        " ORDER BY k SETTINGS non_replicated_deduplication_window = 1000"
    )
    server.run(_ROLLUP.format(db=database))
    for attempt in range(3):
        for run in range(4):
            server.run(
                f"INSERT INTO {table} FORMAT JSONEachRow",
                _lines(500, first=run * 500),
                insert_deduplication_token=f"topic:0:{run}",
                deduplicate_blocks_in_dependent_materialized_views=1,
                async_insert=attempt % 2,
            )
    assert server.rows(f"SELECT count(), uniqExact(id) FROM {table}") == [[2000, 2000]]
    assert server.rows(f"SELECT sum(c) FROM {database}.sums") == [[2000]]


def test_aggregate_states_travel(server: Server, database: str) -> None:
    server.run(
        f"CREATE TABLE {database}.a (k UInt8, u AggregateFunction(uniq, UInt64))"
        " ENGINE = AggregatingMergeTree ORDER BY k"
    )
    states = server.run("SELECT toUInt8(1) AS k, uniqState(number) AS u FROM numbers(100) FORMAT Native").body
    server.run(f"INSERT INTO {database}.a FORMAT Native", states)
    assert server.rows(f"SELECT uniqMerge(u) FROM {database}.a") == [[100]]


@pytest.mark.parametrize(
    ("sql", "body"),
    [
        ("INSERT INTO {t} (id) VALUES (1), (1 + 1)", None),
        ("INSERT INTO {t} (id) VALUES", b"(1), (2);"),
        ("INSERT INTO {t} (id) VALUES ({a:UInt64}), (plus({a:UInt64}, 1))", None),
        ("INSERT INTO {t} (`id`) -- a comment's quote\nFORMAT CSV\n1\n2\n", None),
        ("INSERT INTO {t} (id) SETTINGS log_comment = 'FORMAT TSV' FORMAT CSV", b"1\n2\n"),
        ("INSERT INTO TABLE {t} (* EXCEPT(s, n, e, b, f, d)) FORMAT CSV", b"1\n2\n"),
        ("INSERT INTO {t} (id) SELECT number + 1 FROM numbers(2)", None),
        ("INSERT INTO {t} (id) (SELECT number + 1 FROM numbers(2))", None),
        (
            "INSERT INTO {t} SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow",
            b'{"id":1,"z":1}{"id":2}',
        ),
    ],
)
def test_every_form_of_insert_is_understood(server: Server, table: str, sql: str, body: bytes | None) -> None:
    server.run(sql.replace("{t}", table), body, param_a=1)
    assert server.rows(f"SELECT id FROM {table} ORDER BY id") == [[1], [2]]


def test_an_empty_body_stores_nothing(server: Server, table: str) -> None:
    server.run(f"INSERT INTO {table} FORMAT JSONEachRow", b"")
    assert server.rows(f"SELECT count() FROM {table}") == [[0]]


@pytest.mark.parametrize(
    ("body", "code"), [(b'{"id": "x"}', 27), (b'{"id": 1}\n{"id": 2', 33), (b'{"id": 1}{"e": "z"}', 691)]
)
def test_a_bad_row_stores_nothing_of_its_insert(server: Server, table: str, body: bytes, code: int) -> None:
    answer = server.post(f"INSERT INTO {table} FORMAT JSONEachRow", body)
    assert (answer.code, answer.status >= 400) == (code, True)
    assert server.rows(f"SELECT count() FROM {table}") == [[0]]


def test_an_insert_leaves_no_file_behind(server: Server, table: str) -> None:
    before = subprocess.run(["ls", f"/proc/{server.process.pid}/fd"], capture_output=True, check=True).stdout
    for _ in range(20):
        server.run(f"INSERT INTO {table} (id) FORMAT CSV", b"1\n")
    after = subprocess.run(["ls", f"/proc/{server.process.pid}/fd"], capture_output=True, check=True).stdout
    assert len(after.split()) < len(before.split()) + 10
