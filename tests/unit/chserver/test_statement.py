"""What the server knows about a statement before the engine sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.embedded.chserver.drops import without_wait
from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.lexer import outer_tokens, tokens
from postloop.embedded.chserver.query_ids import ID_SETTING, with_carried_ids
from postloop.embedded.chserver.statement import Kind, read_statement


@given(st.binary())
def test_tokens_stand_in_order_and_inside_the_text(sql: bytes) -> None:
    position = 0
    for token in tokens(sql):
        assert position <= token.start < token.end <= len(sql)
        assert sql[token.start : token.end] == token.text
        position = token.end


@given(st.binary())
def test_outer_tokens_are_some_of_the_tokens(sql: bytes) -> None:
    assert set(outer_tokens(sql)) <= set(tokens(sql))


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        (b"SELECT 1", Kind.SELECT),
        (b"-- INSERT\n select 1", Kind.SELECT),
        (b"/* a /* b */ */ WITH 1 AS x SELECT x", Kind.SELECT),
        (b"(SELECT 1) UNION ALL (SELECT 2)", Kind.SELECT),
        (b"INSERT INTO t SELECT 1", Kind.INSERT),
        (b"INSERT INTO t VALUES (1)", Kind.INSERT),
        (b"KILL QUERY WHERE 1", Kind.KILL),
        (b"SET a = 1", Kind.SET),
        (b"USE db", Kind.USE),
        (b"CREATE TABLE t (a UInt8) ENGINE = Memory", Kind.OTHER),
    ],
)
def test_the_first_word_tells_the_kind(sql: bytes, kind: Kind) -> None:
    assert read_statement(sql).kind is kind


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format CSV;", "CSV"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        (b"SELECT 1 SETTINGS max_threads = 1 FORMAT CSV -- FORMAT JSON", "CSV"),
        (b"SELECT 'FORMAT JSON'", None),
        (b"SELECT * FROM (SELECT 1 FORMAT JSON)", None),
        (b"SELECT 1 AS format, 2", None),
    ],
)
def test_the_format_is_the_one_that_ends_the_statement(sql: bytes, name: str | None) -> None:
    assert read_statement(sql).format == name


@pytest.mark.parametrize(
    ("sql", "streams"),
    [
        (b"SELECT 1 FORMAT Native", True),
        (b"SELECT 1 FORMAT JSON", False),
        (b"SELECT 1 FORMAT Arrow", False),
        (b"SELECT 1 FORMAT CSVWithNames", False),
        (b"SELECT a, sum(b) FROM t GROUP BY a WITH TOTALS FORMAT TSV", False),
        (b"SELECT 1 SETTINGS extremes = 1 FORMAT TSV", False),
        (b"SHOW TABLES FORMAT TSV", False),
    ],
)
def test_only_results_without_head_and_foot_are_sent_in_pieces(sql: bytes, streams: bool) -> None:
    statement = read_statement(sql)
    assert statement.is_streamable(statement.format or "") is streams


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        pytest.param(b"", 62, id="nothing"),
        pytest.param(b" -- only a comment", 62, id="comment"),
        pytest.param(b"SELECT 1; DROP TABLE t", 62, id="two-statements"),
        pytest.param(b"SELECT 1;;/**/SELECT 2", 62, id="two-statements-apart"),
        pytest.param(b"INSERT INTO t SELECT 1; SELECT 2", 62, id="insert-and-select"),
        pytest.param(b"SELECT 1 INTO OUTFILE '/tmp/x'", 78, id="outfile"),
        pytest.param(b"exit", 62, id="console-word"),
        pytest.param(b"\\l", 62, id="console-mark"),
        pytest.param(b"CREATE TEMPORARY TABLE t (a UInt8)", 48, id="temporary-table"),
        pytest.param(b"CREATE NAMED COLLECTION c AS a = 1", 48, id="named-collection"),
        pytest.param(b"system /* x */ shutdown", 48, id="shutdown-of-the-process-group"),
        pytest.param(b"DROP DATABASE IF EXISTS `default`", 48, id="drop-default"),
        pytest.param(b"DETACH DATABASE default", 48, id="detach-default"),
        pytest.param(b"INSERT INTO t SELECT * FROM input('a UInt8') FORMAT CSV 1", 48, id="input-function"),
        pytest.param(b"SELECT '" + b"x" * (9 * 1024 * 1024) + b"'", 62, id="too-long"),
    ],
)
def test_what_a_server_must_not_run_is_refused(sql: bytes, code: int) -> None:
    with pytest.raises(QueryError) as caught:
        read_statement(sql)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "sql", [b"SELECT 1;", b"SELECT ';'", b"SELECT 1; -- done\n", b"SELECT $x$ ; SELECT $x$", b"SELECT `a;b`"]
)
def test_a_semicolon_at_the_end_or_in_quotes_is_no_second_statement(sql: bytes) -> None:
    assert read_statement(sql).sql == sql


@pytest.mark.parametrize(
    "sql",
    [b"DROP DATABASE mine", b"SYSTEM FLUSH LOGS", b"DROP TABLE default.t", b"CREATE TABLE named (a UInt8)"],
)
def test_what_only_looks_harmful_is_run(sql: bytes) -> None:
    assert read_statement(sql).kind is Kind.OTHER


def test_a_million_semicolons_are_read_at_once() -> None:
    assert read_statement(b"SELECT 1" + b";" * 1_000_000).kind is Kind.SELECT


def test_a_kill_reads_the_ids_that_the_queries_carry() -> None:
    sql = with_carried_ids(read_statement(b"KILL QUERY WHERE startsWith(query_id, 'query_id') SYNC"))
    assert sql.startswith(b"KILL QUERY WHERE startsWith(if(Settings['" + ID_SETTING.encode())
    assert sql.endswith(b"'query_id') SYNC")


@pytest.mark.parametrize("table", [b"system.processes", b"`system`.`processes`", b"system . processes"])
def test_the_list_of_processes_shows_the_carried_ids(table: bytes) -> None:
    sql = with_carried_ids(
        read_statement(b"SELECT query_id FROM " + table + b" WHERE user = 'system.processes'")
    )
    assert sql.count(b"SELECT * REPLACE(") == 1
    assert sql.endswith(b"FROM system.processes) WHERE user = 'system.processes'")


@given(st.binary())
def test_other_statements_are_not_rewritten(tail: bytes) -> None:
    try:
        statement = read_statement(b"SELECT " + tail.replace(b"processes", b""))
    except QueryError:
        return
    assert with_carried_ids(statement) == statement.sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"DROP TABLE t SYNC", b"DROP TABLE t     "),
        (b"DROP TABLE t NO DELAY;", b"DROP TABLE t         ;"),
        (b"DROP TABLE sync", b"DROP TABLE sync"),
        (b"DROP TABLE IF EXISTS db.sync sync", b"DROP TABLE IF EXISTS db.sync     "),
        (b"DROP TABLE `a SYNC`", b"DROP TABLE `a SYNC`"),
        (b"SYSTEM SYNC REPLICA t", b"SYSTEM SYNC REPLICA t"),
    ],
)
def test_a_drop_does_not_wait_for_a_task_that_never_runs(sql: bytes, expected: bytes) -> None:
    assert without_wait(read_statement(sql)) == expected
