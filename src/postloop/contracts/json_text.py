"""What a record's bytes look like as JSON text, where the parser is more generous than the contract.

The parser of pydantic accepts NaN, Infinity and 200 levels of nesting, and it cannot say where the elements
of an array begin. These functions answer that on the bytes, without building values.
"""

import json
import re
from collections.abc import Collection
from typing import Any, Final

_is_array: Final = re.compile(rb"[ \t\r\n]*\[").match
_has_lone_surrogate: Final = re.compile(rb"\\u[dD][89a-fA-F]").search
_tokens: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{},]', re.DOTALL).finditer
_BLANKS: Final = b" \t\r\n"  # RFC 8259 section 2; Python would strip more
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OPENING: Final = frozenset(b"[{")


def is_array(value: bytes) -> bool:
    """Return whether the first sign of the text opens an array."""
    return _is_array(value) is not None


def has_name_twice(pairs: Collection[tuple[str, Any]]) -> bool:
    """Return whether an object, as the parser hands it to its `object_pairs_hook`, has a name more than once.

    Readers of JSON differ on which of the two counts (RFC 8259 section 4): one account could pass for another, and what
    a proxy saw must be what is done.
    """
    return len({name for name, _ in pairs}) < len(pairs)


def has_surrogate_escape(value: bytes) -> bool:
    r"""Return whether the text has a \ud8xx escape, the only way to write half a character."""
    return _has_lone_surrogate(value) is not None


def may_break_rules(value: bytes, *, limit: int) -> bool:
    """Return False if there is surely no NaN, no Infinity and no nesting above the limit; cheap."""
    return b"NaN" in value or b"Infinity" in value or value.count(b"[") + value.count(b"{") > limit


def outside_strings(value: bytes) -> bytes:
    """Return the text without its strings; exact for every JSON text, meaningless for others."""
    if b"\\" in value:
        # Escapes are read from the left, so pairs of backslashes go first.
        value = value.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(value.split(b'"')[::2])


def has_non_finite(outside: bytes) -> bool:
    """Return whether NaN or Infinity stands outside the strings."""
    return b"NaN" in outside or b"Infinity" in outside


def is_deeper(outside: bytes, *, limit: int) -> bool:
    """Return whether more than `limit` arrays and objects are open at once."""
    if outside.count(b"[") + outside.count(b"{") <= limit:
        return False
    depth = 0
    for sign in outside.translate(None, _NOT_BRACKETS):
        depth += 1 if sign in _OPENING else -1
        if depth > limit:
            return True
    return False


def split_array(value: bytes, *, max_count: int) -> list[bytes] | None:
    """Return the text of each element of an array, None if the text is no array.

    At most `max_count` + 1 elements are returned, so that a caller can see that there are too many. Elements
    are cut at commas and brackets only: whether each is JSON is for the caller to find out.
    """
    elements: list[bytes] = []
    depth, start = 0, 0
    for token in _tokens(value):
        sign = token[0]
        if sign in (b"[", b"{"):
            depth += 1
            if depth == 1:
                start = token.end()
        elif sign in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                closed = sign == b"]" and not value[token.end() :].strip(_BLANKS)
                last = value[start : token.start()].strip(_BLANKS)
                return ([*elements, last] if last or elements else []) if closed else None
        elif sign == b"," and depth == 1:
            elements.append(value[start : token.start()].strip(_BLANKS))
            start = token.end()
            if len(elements) > max_count:
                return elements
        elif sign == b'"':  # a string that never ends
            return None
    return None


def is_json(value: bytes) -> bool:
    """Return whether the text is JSON (RFC 8259, and NaN for a number), or nests too deep to say."""
    try:
        json.loads(value.decode(), parse_int=_ignore, parse_float=_ignore, parse_constant=_ignore)
    except RecursionError:
        return True
    except ValueError:  # JSONDecodeError and UnicodeDecodeError
        return False
    return True


def _ignore(text: str) -> Any:
    """Stand in for a number: a number of a million digits is grammar too, and takes long to convert."""
    return None
