"""What the server must know about a statement before it hands it to the engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.insert_head import InsertHead, parse_insert
from postloop.embedded.chserver.lexer import WORD, Token, outer_tokens
from postloop.embedded.chserver.refusals import check_allowed

# The engine's own limit on SQL text is 256 KiB (max_query_size); data of an insert is not part of it.
MAX_SQL_BYTES = 8 * 1024 * 1024

# One block after the other is the whole result; other formats have a head or a foot around the rows.
_STREAMABLE = frozenset(
    {
        "Native", "RowBinary", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "CSV", "TSKV", "Null",
        "JSONEachRow", "JSONLines", "NDJSON", "JSONStringsEachRow", "JSONCompactEachRow", "LineAsString",
        "JSONCompactStringsEachRow",
    }
)  # fmt: skip
_SELECT_WORDS = (b"SELECT", b"WITH", b"FROM")
_RESULT_WORDS = (*_SELECT_WORDS, b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"CHECK", b"KILL")


class Kind(Enum):
    """The ways in which a statement is run."""

    SELECT = "select"
    INSERT = "insert"
    KILL = "kill"
    SET = "set"
    USE = "use"
    OTHER = "other"


@dataclass(frozen=True)
class Statement:
    """One statement: how to run it, and the data it carries."""

    kind: Kind
    sql: bytes
    format: str | None = None
    returns_rows: bool = False
    insert: InsertHead | None = None
    whole: bool = False  # the result must be made in one piece (totals, extremes)

    def is_streamable(self, output_format: str) -> bool:
        """Tell whether blocks of this result may be sent one by one."""
        return self.kind is Kind.SELECT and not self.whole and output_format in _STREAMABLE


def _output_format(words: Sequence[Token]) -> str | None:
    """Return the name after the last FORMAT that ends the statement, or is followed by SETTINGS only."""
    for place in range(len(words) - 2, -1, -1):
        if words[place].is_word(b"FORMAT") and words[place + 1].kind == WORD:
            after = words[place + 2 :]
            if not after or after[0].is_word(b"SETTINGS") or after[0].is_mark(b";"):
                return words[place + 1].text.decode(errors="replace")
    return None


def _kind(first: Token) -> Kind:
    if first.is_word(*_SELECT_WORDS) or first.is_mark(b"("):
        return Kind.SELECT
    for kind in (Kind.INSERT, Kind.KILL, Kind.SET, Kind.USE):
        if first.is_word(kind.value.upper().encode()):
            return kind
    return Kind.OTHER


def read_statement(text: bytes) -> Statement:
    """Return what a request's text is: a statement, or an insert and the data behind it.

    Raises:
        QueryError: empty, too long, or not to be run by a server (`refusals`).
    """
    first = next(outer_tokens(text), None)
    if first is None:
        raise errors.QueryError(errors.SYNTAX_ERROR, "Empty query.")
    if first.is_word(b"INSERT"):
        head = parse_insert(text)
        if head is not None:
            return Statement(Kind.INSERT, text[: head.data_start], format=head.format, insert=head)
    if len(text) > MAX_SQL_BYTES:
        raise errors.QueryError(
            errors.SYNTAX_ERROR,
            f"Max query size exceeded: {len(text)} bytes of SQL, the limit is {MAX_SQL_BYTES}.",
        )
    words = list(outer_tokens(text))
    check_allowed(words)
    return Statement(
        _kind(first),
        text,
        format=_output_format(words),
        returns_rows=first.is_word(*_RESULT_WORDS) or first.is_mark(b"("),
        whole=any(token.is_word(b"TOTALS", b"EXTREMES") for token in words) or b"json_array_of_rows" in text,
    )
