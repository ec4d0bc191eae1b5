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
    rb"(?P<space>[\s\x00]+)"
    rb"|(?P<comment>--[^\n]*|//[^\n]*|\#[ !][^\n]*)"
    rb"|(?P<open>/\*)"
    rb"|(?P<word>[0-9A-Za-z_\x80-\xff][0-9A-Za-z_$\x80-\xff]*)"
    rb"|(?P<string>'(?:[^'\\]|\\.|'')*')"
    rb"|(?P<quoted>`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\")"
    rb"|(?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    rb"|(?P<mark>.)",
    re.DOTALL,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_SKIPPED = frozenset({"space", "comment"})
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
    while match := _LEXEME.match(sql, position):
        kind = str(match.lastgroup)
        position = match.end()
        if kind == "open":
            position = _end_of_comment(sql, match.start())
        elif kind == "heredoc" or match.group("heredoc") is not None:
            yield Token(STRING, match.start(), position, match.group())
        elif kind not in _SKIPPED:
            if kind == MARK and match.group() in _UNCLOSED:
                return
            yield Token(kind, match.start(), position, match.group())


_DEPTH = {b"(": 1, b"[": 1, b"{": 1, b")": -1, b"]": -1, b"}": -1}


def outer_tokens(sql: bytes, start: int = 0) -> Iterator[Token]:
    """Yield the tokens that stand outside of every bracket, the outermost brackets included."""
    depth = 0
    for token in tokens(sql, start):
        step = _DEPTH.get(token.text, 0) if token.kind == MARK else 0
        depth = max(0, depth + min(step, 0))
        if depth == 0:
            yield token
        depth += max(step, 0)
