"""Where an INSERT's data begins, whatever names, comments and bytes surround it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.insert_head import parse_insert

_TRAPS = [
    "t",
    "FORMAT",
    "VALUES",
    "SETTINGS",
    "a b",
    "x'y",
    "(",
    ")",
    "--",
    "/*",
    "FORMAT CSV",
    ";",
    "é",
    "`",
    '"',
    "\\",
]


def _backticked(name: str) -> bytes:
    return b"`" + name.replace("\\", "\\\\").replace("`", "\\`").encode() + b"`"


def _double_quoted(name: str) -> bytes:
    return b'"' + name.replace("\\", "\\\\").replace('"', '""').encode() + b'"'


bare = st.sampled_from([b"t", b"events", b"T1", b"_x", b"settings_log", b"formats", b"values2"])
quoted = st.sampled_from(_TRAPS).flatmap(lambda n: st.sampled_from([_backticked(n), _double_quoted(n)]))
names = bare | quoted | st.just(b"{table:Identifier}")
gaps = st.sampled_from(
    [
        b" ",
        b"\n",
        b"\t ",
        b" /* FORMAT CSV ( */ ",
        b" -- it's VALUES (\n",
        b" /* a /* ' */ b */ ",
        b" # FORMAT\n",
    ]
)
column_lists = st.lists(names, max_size=4).map(lambda c: b"(" + b", ".join(c) + b")" if c else b"")
texts = st.sampled_from(_TRAPS).map(
    lambda t: b"'" + t.replace("\\", "\\\\").replace("'", "\\'").encode() + b"'"
)
setting_clauses = st.lists(
    st.tuples(st.sampled_from([b"async_insert", b"log_comment"]), texts), max_size=3
).map(lambda s: b"SETTINGS " + b", ".join(k + b" = " + v for k, v in s) if s else b"")
functions = st.sampled_from([b"FUNCTION null('a UInt8, FORMAT String')", b"TABLE FUNCTION file('x)y', CSV)"])


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, str, bytes]:
    """An INSERT up to its data, its format, and its target as written."""
    table = b".".join(draw(st.lists(names, min_size=1, max_size=2)))
    into = draw(st.sampled_from([b"INTO", b"into", b"INTO TABLE"]))
    if draw(st.booleans()):
        target = [b"INSERT", into, table, draw(column_lists)]
    else:
        target = [b"insert", b"INTO", draw(functions), draw(column_lists)]
    written = draw(gaps).join(part for part in target if part)
    settings = draw(setting_clauses)
    ending, name = draw(
        st.sampled_from([(b"VALUES", "Values"), (b"FORMAT Native\n", "Native"), (b"format CSV;\n", "CSV")])
    )
    return draw(gaps).join(part for part in (written, settings, ending) if part), name, written


def _after(name: str, data: bytes) -> bytes:
    """Return data that may stand directly behind the head: `VALUESx` would be another word."""
    return b"(" + data if name == "Values" else data


@given(heads(), st.binary())
def test_data_is_found_byte_for_byte(head: tuple[bytes, str, bytes], data: bytes) -> None:
    text, name, target = head
    data = _after(name, data)
    found = parse_insert(text + data)
    assert found is not None
    assert (found.format, found.target) == (name, target)
    assert (text + data)[found.data_start :] == data


@given(heads(), st.binary())
def test_the_statement_that_reads_a_file_has_no_data_in_it(
    head: tuple[bytes, str, bytes], data: bytes
) -> None:
    text, name, target = head
    with_data, without = parse_insert(text + _after(name, data)), parse_insert(text)
    assert with_data is not None
    assert without is not None
    sql = with_data.reading_from("/proc/self/fd/7")
    assert sql == without.reading_from("/proc/self/fd/7")
    assert sql.startswith(target)
    assert sql.endswith(f"FORMAT {name}".encode())


@given(st.binary())
def test_no_bytes_break_the_parser(tail: bytes) -> None:
    try:
        head = parse_insert(b"INSERT INTO " + tail)
    except QueryError:
        return
    assert head is None or head.data_start <= len(tail) + 12


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(b"INSERT INTO t SELECT 1", id="select"),
        pytest.param(b"INSERT INTO t (a) SELECT 'FORMAT CSV'", id="select-with-a-trap"),
        pytest.param(b"INSERT INTO t (SELECT 1)", id="select-in-brackets"),
        pytest.param(b"INSERT INTO t ((SELECT 1) UNION ALL (SELECT 2))", id="union-in-brackets"),
        pytest.param(b"INSERT INTO t WITH 1 AS x SELECT x", id="with"),
        pytest.param(b"INSERT INTO t SETTINGS a = 1 SELECT 1", id="settings-select"),
        pytest.param(b"INSERT INTO FUNCTION null('a UInt8') SELECT 1", id="function-select"),
        pytest.param(b"INSERT INTO t", id="nothing"),
        pytest.param(b"INSERT INTO t FORMAT", id="no-format"),
        pytest.param(b"INSERT INTO `t FORMAT CSV\n1", id="quote-not-closed"),
    ],
)
def test_an_insert_without_data_is_left_to_the_engine(sql: bytes) -> None:
    assert parse_insert(sql) is None


def test_partition_by_belongs_to_the_target() -> None:
    head = parse_insert(b"INSERT INTO FUNCTION s3('u', CSV) PARTITION BY (a, b) VALUES (1)")
    assert head is not None
    assert head.target.endswith(b"PARTITION BY (a, b)")


@pytest.mark.parametrize(
    ("gap", "data"),
    [(b"\n", b"\n1"), (b"\r\n", b"1"), (b" \t\n", b" 1"), (b" ", b"1"), (b";\n", b";1"), (b"", b"")],
)
def test_one_line_end_after_the_format_is_not_data(gap: bytes, data: bytes) -> None:
    text = b"INSERT INTO t FORMAT CSV" + gap + data
    head = parse_insert(text)
    assert head is not None
    assert text[head.data_start :] == data


@pytest.mark.parametrize(
    "sql", [b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", b"insert into t (a) from /**/ infile 'x'"]
)
def test_a_file_of_the_server_is_refused(sql: bytes) -> None:
    with pytest.raises(QueryError, match="FROM INFILE"):
        parse_insert(sql)
