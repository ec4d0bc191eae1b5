"""DROP ... SYNC without the wait.

The engine in process never starts the task that deletes dropped tables of Atomic databases: SYNC would wait for
ever (measured on 26.5). Dropped data stays on disk until the server starts again, which removes it.
"""

from postloop.embedded.chserver.lexer import Token, outer_tokens
from postloop.embedded.chserver.statement import Kind, Statement

_NAME_FOLLOWS = (b"TABLE", b"VIEW", b"DICTIONARY", b"DATABASE", b"EXISTS")


def _names_a_table(before: Token) -> bool:
    return before.is_word(*_NAME_FOLLOWS) or before.is_mark(b".") or before.is_mark(b",")


def without_wait(statement: Statement) -> bytes:
    """Return the SQL of a statement, SYNC and NO DELAY taken out of a DROP or DETACH."""
    words = list(outer_tokens(statement.sql)) if statement.kind is Kind.OTHER else []
    if not words or not words[0].is_word(b"DROP", b"DETACH"):
        return statement.sql
    sql = bytearray(statement.sql)
    for place in range(2, len(words)):
        token, before = words[place], words[place - 1]
        if token.is_word(b"SYNC") and not _names_a_table(before):
            sql[token.start : token.end] = b" " * len(token.text)
        elif token.is_word(b"DELAY") and before.is_word(b"NO") and not _names_a_table(words[place - 2]):
            sql[before.start : token.end] = b" " * (token.end - before.start)
    return bytes(sql)
