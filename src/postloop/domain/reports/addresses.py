"""Mail addresses in fields: with names, comments and in lists, as RFC 5322 section 3.4 and those who ignore it write.

Everything is found in one pass, in time that grows with the length of the value: a header may be 256 KiB long.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_quoted: Final = re.compile(r'"((?:[^"\\]|\\.)*+)("?)', re.DOTALL).sub
# A colon ends what is no address: `mailto:`, `SMTP:`, the name of a group. Brackets may hold one: [IPv6:2001:db8::1].
_pieces: Final = re.compile(
    r"(?P<end>[,;:])|(?P<angle><[^<>]*>)|(?P<comment>\([^()]*\))"
    r'|(?P<word>(?:"(?:[^"\\]|\\.)*+"|\[[^\[\]]*\]|[^"<>()\[\],;:\s]+)++)|\s+|.',
    re.DOTALL,
).finditer
_SCHEME: Final = "mailto:"


@dataclass(slots=True)
class _Entry:
    """What stands between two separators of a list."""

    angles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)


def addresses_in(value: str) -> list[str]:
    """Return the addresses of a header such as To, without names, in their order; what is no address is left out."""
    found: list[str] = []
    for entry in _entries(value):
        found += entry.angles or [word for word in entry.words if _is_address(word)]
    return found


def recipients_in(value: str) -> list[str]:
    """Return the addresses of a field that names recipients; what is none stays as it was given.

    An entry with an @ that is no address for sure (`ada b@example.org`) is kept whole: to guess would name somebody
    else. Nothing in it that is an address (`[redacted]`): the whole value, without its angle brackets.
    """
    found: list[str] = []
    is_clear = False
    for entry in _entries(value):
        sure = entry.angles or [word for word in entry.words if len(entry.words) == 1 and _is_address(word)]
        is_clear = is_clear or bool(sure)
        found += sure or [text for text in ["".join(entry.pieces).strip()] if "@" in text]
    if is_clear:
        return list(dict.fromkeys(found))
    given = value.strip()
    bare = given[1:-1].strip() if re.fullmatch(r"<[^<>]*>", given) else given
    return [bare] if bare else []


def _entries(value: str) -> Iterator[_Entry]:
    entry = _Entry()
    for piece in _pieces(_quoted(_closed, value)):
        kind, text = piece.lastgroup, piece[0]
        if kind == "end":
            yield entry
            entry = _Entry()
        elif kind == "angle":
            inside = text[1:-1].strip()
            inside = inside[len(_SCHEME) :] if inside[: len(_SCHEME)].lower() == _SCHEME else inside
            entry.angles += [inside] if _is_address(inside) else []
        elif kind == "word":
            entry.words.append(text)
        if kind not in ("end", "comment"):
            entry.pieces.append(text)
    yield entry


def _closed(quoted: re.Match[str]) -> str:
    """Return a quoted string as it is; of one that nobody closes what is quoted, else it would hide the rest."""
    return quoted[0] if quoted[2] else " " + quoted[1].replace('"', " ")


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and '"' not in domain
