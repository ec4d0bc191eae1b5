"""Header fields of a message, of one of its parts, or of a report: read leniently, in bounded time.

The parser is that of Python's email package with the policy that never raises. Its typed header classes are not
used: they raise on some malformed values and take quadratic time on others.
"""

import binascii
import quopri
import re
from collections.abc import Iterable
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Final

MAX_VALUE_CHARS: Final = 8_192
"""More of a value is cut off; RFC 5322 section 2.1.1 allows lines of 998."""
MAX_LIST_CHARS: Final = 262_144
"""The same of a field that names recipients: as much as a header may have. 1,000 addresses of 254 characters fit, and
a report that names more is refused, so none is cut off in silence, and no half of an address is taken for one."""
_LISTS: Final = frozenset(
    {
        "x-failed-recipients",
        "final-recipient",
        "original-recipient",
        "original-rcpt-to",
        "removal-recipient",
        "x-hmxmroriginalrecipient",
    }
)

_controls: Final = re.compile(r"[\x00-\x1f\x7f]+")
_encoded_word: Final = re.compile(
    r"=\?([\w-]{1,40})(?:\*[\w-]*)?\?([bq])\?([^?\s]{0,400})\?=(?:\s+(?==\?))?", re.IGNORECASE
)
# Decoders of Python that are charsets of mail, take linear time and cannot raise with "replace".
_is_charset: Final = re.compile(
    r"iso-8859-(?:[1-9]|1[013456])|windows-125[0-8]|koi8-[ru]|iso-2022-jp|shift_jis|euc-(?:jp|kr)|gb2312|gbk"
    r"|gb18030|big5",
    re.IGNORECASE,
).fullmatch
_LATIN_1: Final = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}
"""What surrogateescape makes of a byte -> the same byte in Latin-1."""
_blanks_after_fold: Final = re.compile(r"[\r\n]+[ \t]*")


class Headers:
    """Fields in their order. Names do not mind capitals; values are unfolded, trimmed, without control signs.

    `charset` is that of raw bytes which are no UTF-8, "" if nobody told.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = (), *, charset: str = "") -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            key = name.lower()
            max_chars = MAX_LIST_CHARS if key in _LISTS else MAX_VALUE_CHARS
            self._fields.setdefault(key, []).append(_clean(value, max_chars, charset))

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def first(self, *names: str) -> str:
        """Return the first value that is not empty, looking for the names in turn; "" if there is none."""
        return next((value for name in names for value in self._fields.get(name.lower(), ()) if value), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return the values of a name that are not empty."""
        return tuple(value for value in self._fields.get(name.lower(), ()) if value)

    def has(self, name: str) -> bool:
        return name.lower() in self._fields


def parse_headers(block: bytes, *, charset: str = "") -> Headers:
    """Return the fields of a header block; reading ends at the first line that is no field.

    `charset` is what raw bytes are in that are no UTF-8: a header has none, but the part around it may.
    """
    # Without its first lines a block would be taken for the body: blank ones, and "From " of a mailbox.
    message = BytesHeaderParser(policy=compat32).parsebytes(block.lstrip(b"\r\n"))
    return Headers(message.raw_items(), charset=charset)


def decoded_words(text: str) -> str:
    """Return a header text with its encoded words (RFC 2047) decoded; what is broken stays as it is."""
    return _encoded_word.sub(_decoded_word, text)


def _decoded_word(word: re.Match[str]) -> str:
    coded = word[3].encode("ascii", "replace")
    try:
        raw = binascii.a2b_base64(coded) if word[2] in "bB" else quopri.decodestring(coded, header=True)
    except binascii.Error:
        return word[0]
    return decoded_text(raw, charset=word[1])


def decoded_text(raw: bytes, *, charset: str) -> str:
    """Return bytes as text: UTF-8 where they are, else the charset named if it is one of mail, else Latin-1.

    Without such a charset it is only the bytes which are no UTF-8 that are Latin-1: servers cut a reply anywhere, also
    within a character, and that must not spoil the rest.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if _is_charset(charset):
            return raw.decode(charset, "replace")
        return raw.decode("utf-8", "surrogateescape").translate(_LATIN_1)


def _clean(value: str, max_chars: int, charset: str) -> str:
    """Return a raw value as text: UTF-8 (RFC 6532) where it is, else in its charset, unfolded, bounded."""
    # Decoded before it is cut: half a character would look like another charset.
    text = decoded_text(str(value).encode("utf-8", "surrogateescape"), charset=charset)[:max_chars]
    return _controls.sub(" ", _blanks_after_fold.sub(" ", text)).strip()
