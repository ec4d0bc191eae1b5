"""Statements that a server must not hand to an engine in its own process."""

import itertools
from collections.abc import Sequence

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.lexer import QUOTED, Token

# What the engine's command line obeys, and a server must not.
_CONSOLE_WORDS = (b"EXIT", b"QUIT", b"LOGOUT", b"Q")
_CONSOLE_MARKS = (b"\\", b":", b"?")
_CHANGES = (b"CREATE", b"ALTER", b"DROP", b"ATTACH", b"DETACH", b"RENAME", b"TRUNCATE")


def _check_single(words: Sequence[Token]) -> None:
    end = next((place for place, token in enumerate(words) if token.is_mark(b";")), len(words))
    if not all(token.is_mark(b";") for token in words[end:]):
        text = "Multi-statements are not allowed: send one statement a request."
        raise QueryError(errors.SYNTAX_ERROR, text)


def _check_no_files(words: Sequence[Token]) -> None:
    is_insert = words[0].is_word(b"INSERT")
    for token, after in itertools.pairwise(words):
        if after.is_word(b"OUTFILE") and token.is_word(b"INTO"):
            text = "INTO OUTFILE is for a client; this server writes no files for a result."
            raise QueryError(errors.UNKNOWN_QUERY, text)
        if is_insert and token.is_word(b"INPUT") and after.is_mark(b"("):
            text = "INSERT ... SELECT FROM input() is not supported; insert into a Null table with a view."
            raise QueryError(errors.NOT_IMPLEMENTED, text)


def _is_default(token: Token) -> bool:
    name = token.text[1:-1] if token.kind == QUOTED else token.text
    return name == b"default"


def _harm(words: Sequence[Token]) -> str | None:
    """Say why a statement would harm the server (each seen on 26.5); None when it does not."""
    first, second = words[0], words[1]
    if first.is_word(b"CREATE") and any(token.is_word(b"TEMPORARY") for token in words[1:4]):
        return "Temporary tables are not supported: every statement has a connection of its own."
    if first.is_word(*_CHANGES) and second.is_word(b"NAMED"):
        return "Named collections are not supported: the engine in process does not survive them."
    if first.is_word(b"SYSTEM") and second.is_word(b"SHUTDOWN", b"KILL"):
        # The engine signals its whole process group, the supervisor included.
        return "SYSTEM SHUTDOWN and SYSTEM KILL are not supported: stop the server by a signal."
    is_removal = first.is_word(b"DROP", b"DETACH", b"RENAME") and second.is_word(b"DATABASE")
    if is_removal and any(_is_default(token) for token in words[2:5]):
        return "The database `default` cannot be dropped: every connection begins in it."
    return None


def check_allowed(words: Sequence[Token]) -> None:
    """Refuse what is several statements, no SQL, or harmful.

    Raises:
        QueryError: with the reason.
    """
    if words[0].is_word(*_CONSOLE_WORDS) or words[0].text in _CONSOLE_MARKS:
        text = f"Syntax error: {words[0].text.decode(errors='replace')} is not SQL."
        raise QueryError(errors.SYNTAX_ERROR, text)
    _check_single(words)
    _check_no_files(words)
    harm = _harm(words) if len(words) > 1 else None
    if harm is not None:
        raise QueryError(errors.NOT_IMPLEMENTED, harm)
