"""Where the head of an INSERT ends and its data begins.

The engine in process takes no binary data in the statement's text, so the data goes to a file in memory and
the statement names it: `INSERT INTO t (a) SETTINGS x = 1 FORMAT Native <bytes>` becomes
`INSERT INTO t (a) FROM INFILE 'path' COMPRESSION 'none' SETTINGS x = 1 FORMAT Native`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.lexer import QUOTED, WORD, Token, outer_tokens, tokens

# Behind FORMAT name: one semicolon, blanks, one line end; what follows is data, byte for byte.
_BEFORE_DATA = re.compile(rb";?[ \t\f]*\r?\n?")
_QUERY_WORDS = (b"SELECT", b"WITH", b"WATCH", b"FROM", b"EXPLAIN")


@dataclass(frozen=True)
class InsertHead:
    """An INSERT whose data follows it. Both texts are SQL as written by the client."""

    target: bytes  # from INSERT to the table, the columns or PARTITION BY
    settings: bytes  # the SETTINGS clause, or nothing
    format: str
    data_start: int

    def reading_from(self, path: str) -> bytes:
        """Return the statement that reads the data from a file; path holds no quote and no backslash."""
        parts = (self.target, f"FROM INFILE '{path}' COMPRESSION 'none'".encode(), self.settings)
        return b"\n".join((*parts, f"FORMAT {self.format}".encode()))


class _Reader:
    """The outer tokens of a statement, with one token of look-ahead."""

    def __init__(self, sql: bytes) -> None:
        self._tokens: Iterator[Token] = outer_tokens(sql)
        self.next: Token | None = next(self._tokens, None)
        self.end = 0

    def take(self) -> Token | None:
        token = self.next
        if token is not None:
            self.end = token.end
            self.next = next(self._tokens, None)
        return token

    def skip_word(self, word: bytes) -> bool:
        if self.next is not None and self.next.is_word(word):
            self.take()
            return True
        return False

    def skip_mark(self, mark: bytes) -> bool:
        if self.next is not None and self.next.is_mark(mark):
            self.take()
            return True
        return False

    def skip_brackets(self, opening: bytes, closing: bytes) -> bool:
        """Skip a bracketed group, whose inner tokens are left out already."""
        return self.skip_mark(opening) and self.skip_mark(closing)

    def skip_name(self) -> bool:
        """Skip one part of a name: a word, a quoted name or a parameter `{name:Identifier}`."""
        if self.next is not None and self.next.kind in (WORD, QUOTED):
            self.take()
            return True
        return self.skip_brackets(b"{", b"}")


def _skip_target(reader: _Reader) -> bool:
    """Skip INSERT [INTO] [TABLE] and the table or table function; False when there is none."""
    reader.take()
    reader.skip_word(b"INTO")
    reader.skip_word(b"TABLE")
    if reader.skip_word(b"FUNCTION"):
        return reader.skip_name() and reader.skip_brackets(b"(", b")")
    if not reader.skip_name():
        return False
    while reader.skip_mark(b"."):
        if not reader.skip_name():
            return False
    return True


def _opens_query(sql: bytes, bracket: Token) -> bool:
    """Tell whether a bracket behind the table holds a SELECT and not the columns."""
    inner = next((token for token in tokens(sql, bracket.end) if not token.is_mark(b"(")), None)
    return inner is not None and inner.is_word(b"SELECT", b"WITH", b"EXPLAIN")


def _skip_to(reader: _Reader, *words: bytes) -> None:
    while reader.next is not None and not reader.next.is_word(*words):
        reader.take()


def _refuse_file(reader: _Reader) -> None:
    reader.take()
    if reader.next is not None and reader.next.is_word(b"INFILE"):
        raise errors.QueryError(
            errors.UNKNOWN_QUERY, "FROM INFILE is for a client; send the data in the request's body."
        )


def parse_insert(sql: bytes) -> InsertHead | None:
    """Return the head of an INSERT that carries data; None when a query or nothing follows the table.

    Raises:
        QueryError: the statement wants a file of the server (FROM INFILE).
    """
    reader = _Reader(sql)
    if not _skip_target(reader):
        return None
    bracket = reader.next
    if (
        bracket is not None
        and bracket.is_mark(b"(")
        and (_opens_query(sql, bracket) or not reader.skip_brackets(b"(", b")"))
    ):
        return None
    if reader.next is not None and reader.next.is_word(b"PARTITION"):
        _skip_to(reader, b"SETTINGS", b"VALUES", b"FORMAT", *_QUERY_WORDS)
    target = sql[: reader.end]
    settings_start = reader.end
    if reader.next is not None and reader.next.is_word(b"SETTINGS"):
        settings_start = reader.next.start
        _skip_to(reader, b"VALUES", b"FORMAT", *_QUERY_WORDS)
    settings = sql[settings_start : reader.end]
    if reader.next is not None and reader.next.is_word(b"FROM"):
        _refuse_file(reader)
        return None
    return _data(sql, reader, target, settings)


def _data(sql: bytes, reader: _Reader, target: bytes, settings: bytes) -> InsertHead | None:
    # What stands behind VALUES or the name of the format is data and must not be read as SQL.
    if reader.next is not None and reader.next.is_word(b"VALUES"):
        return InsertHead(target, settings, "Values", reader.next.end)
    if not reader.skip_word(b"FORMAT") or reader.next is None or reader.next.kind != WORD:
        return None
    name = reader.next
    gap = _BEFORE_DATA.match(sql, name.end)
    return InsertHead(target, settings, name.text.decode(errors="replace"), gap.end() if gap else name.end)
