"""Tokens of a ClickHouse statement, so that text inside quotes and comments is never taken for SQL.

Only what the server must know about a statement is decided here (where words, quotes and brackets are);
whether it is valid is the engine's business. Works on bytes, because data may follow the statement.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

WORD = "word"
QUOTED = "quoted"  # `name` or "name"
STRING = "string"
MARK = "mark"

_LEXEME = re.compile(
    rb"[\s\x00]*+(?:"
    rb"(?P<comment>--[^\n]*|//[^\n]*|\#[ !][^\n]*)"
    rb"|(?P<open>/\*)"
    rb"|(?P<word>[0-9A-Za-z_\x80-\xff][0-9A-Za-z_$\x80-\xff]*)"
    rb"|(?P<string>'(?:[^'\\]|\\.|'')*')"
    rb"|(?P<quoted>`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\")"
    rb"|(?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    rb"|(?P<mark>.))",
    re.DOTALL,
)
# What opens and closes nothing, words in one piece: most of what stands inside of brackets.
_PLAIN = re.compile(
    rb"(?:[0-9A-Za-z_\x80-\xff][0-9A-Za-z_$\x80-\xff]*+|[^0-9A-Za-z_\x80-\xff\[\](){}'\"`$/#-])*+"
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_UNCLOSED = frozenset({b"'", b"`", b'"'})


class Token(NamedTuple):
    """One token and the half-open range of bytes it covers."""

    kind: str
    start: int
    end: int
    text: bytes

    def is_word(self, *words: bytes) -> bool:
        """Tell whether this is one of these keywords (given in upper case), in any case and unquoted."""
        return self.kind == WORD and self.text.upper() in words

    def is_mark(self, mark: bytes) -> bool:
        """Tell whether this is that punctuation character."""
        return self.kind == MARK and self.text == mark


def _end_of_comment(sql: bytes, start: int) -> int:
    """Return where the block comment that opens at start ends; ClickHouse nests them."""
    depth, position = 0, start
    while match := _COMMENT_EDGE.search(sql, position):
        depth += 1 if match.group() == b"/*" else -1
        position = match.end()
        if depth == 0:
            return position
    return len(sql)


def tokens(sql: bytes, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of a statement, comments and blanks left out.

    Stops at an unclosed quote: what follows cannot be told from data, and the engine will refuse it.
    """
    position = start
    while found := _next(sql, position):
        token, position = found
        if token is not None:
            yield token


def outer_tokens(sql: bytes, start: int = 0) -> Iterator[Token]:
    """Yield the tokens that stand outside of every bracket, the outermost brackets included."""
    depth, position = 0, start
    while found := _next(sql, position):
        token, position = found
        if token is None:
            continue
        step = _DEPTH.get(token.text, 0) if token.kind == MARK else 0
        depth = max(0, depth + min(step, 0))
        if depth == 0:
            yield token
        depth += max(step, 0)
        if depth and (plain := _PLAIN.match(sql, position)):
            position = plain.end()


_DEPTH = {b"(": 1, b"[": 1, b"{": 1, b")": -1, b"]": -1, b"}": -1}


def _next(sql: bytes, position: int) -> tuple[Token | None, int] | None:
    """Return what comes next, and where it ends: a token, or None for a comment; None at the end or an open quote."""
    match = _LEXEME.match(sql, position)
    if match is None:
        return None
    kind, end = str(match.lastgroup), match.end()
    if kind == "comment":
        return None, end
    if kind == "open":
        return None, _end_of_comment(sql, match.start("open"))
    token = Token(STRING if kind == "heredoc" else kind, match.start(kind), end, match.group(kind))
    return None if kind == MARK and token.text in _UNCLOSED else (token, end)
