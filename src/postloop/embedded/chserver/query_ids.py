"""The client's query id, which the engine in process does not let us set, kept in a setting of the query.

`stream_like_engine_insert_queue` is a text setting that only inserts into Redis and NATS stream tables read.
Every query carries its id there, so the server finds and ends it; statements that clients write against
`query_id` (KILL QUERY, system.processes) are pointed to it.
"""

from postloop.embedded.chserver.lexer import QUOTED, WORD, Token, tokens
from postloop.embedded.chserver.statement import Kind, Statement

ID_SETTING = "stream_like_engine_insert_queue"

_CARRIED = f"Settings['{ID_SETTING}']"
_ID = f"if({_CARRIED} = '', query_id, {_CARRIED})".encode()
_PROCESSES = (
    b"(SELECT * REPLACE(" + _ID + b" AS query_id, " + _ID + b" AS initial_query_id) FROM system.processes)"
)


def _name(token: Token) -> bytes:
    if token.kind == QUOTED:
        return token.text[1:-1]
    return token.text if token.kind == WORD else b""


def _replaced(sql: bytes, ranges: list[tuple[int, int]], text: bytes) -> bytes:
    pieces, position = [], 0
    for start, end in ranges:
        pieces += [sql[position:start], text]
        position = end
    return b"".join([*pieces, sql[position:]])


def _kill_by_carried_id(sql: bytes) -> bytes:
    found = [t for t in tokens(sql) if _name(t) in (b"query_id", b"initial_query_id")]
    return _replaced(sql, [(t.start, t.end) for t in found], _ID)


def _list_carried_ids(sql: bytes) -> bytes:
    all_tokens = list(tokens(sql))
    found = [
        (database.start, table.end)
        for database, dot, table in zip(all_tokens, all_tokens[1:], all_tokens[2:], strict=False)
        if _name(database) == b"system" and dot.is_mark(b".") and _name(table) == b"processes"
    ]
    return _replaced(sql, found, _PROCESSES)


def with_carried_ids(statement: Statement) -> bytes:
    """Return the statement's SQL, reading the carried ids where it asks for query ids of running queries."""
    if statement.kind is Kind.KILL:
        return _kill_by_carried_id(statement.sql)
    if statement.kind is Kind.SELECT and b"processes" in statement.sql:
        return _list_carried_ids(statement.sql)
    return statement.sql
