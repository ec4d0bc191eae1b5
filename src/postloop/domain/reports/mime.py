"""A message cut into its parts, without looking into what is not needed and within limits.

The parts are cut by their boundaries here: Python's parser descends into every message that a report returns,
recursively and in time that grows with the nesting. Header fields are its work.
"""

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.reports.headers import Headers, decoded_text, parse_headers
from postloop.domain.reports.model import ReportLimits

_type: Final = re.compile(r"[ \t]*([\w.+-]{1,80}/[\w.+-]{1,80})").match
_quoted: Final = r'"((?:[^"\\]|\\.){0,200})"'
_boundary: Final = re.compile(
    rf";[ \t]*boundary[ \t]*=[ \t]*(?:{_quoted}|([^\s;\"]{{1,200}}))", re.IGNORECASE
).search
_report_type: Final = re.compile(r";[ \t]*report-type[ \t]*=[ \t]*\"?([\w.+-]{1,80})", re.IGNORECASE).search
_charset: Final = re.compile(r";[ \t]*charset[ \t]*=[ \t]*\"?([\w-]{1,40})", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Part:
    """One part, or a whole message: its fields and the bytes behind them, lines ending in LF."""

    headers: Headers
    body: bytes

    @property
    def content_type(self) -> str:
        """Type and subtype in lower case; text/plain where none is told (RFC 2045 section 5.2)."""
        found = _type(self.headers.first("Content-Type"))
        return found[1].lower() if found else "text/plain"

    @property
    def report_type(self) -> str:
        """The report-type of a multipart/report (RFC 6522), else ""."""
        found = _report_type(self.headers.first("Content-Type"))
        return found[1].lower() if found else ""

    @property
    def charset(self) -> str:
        """The charset that the part names, else ""."""
        found = _charset(self.headers.first("Content-Type"))
        return found[1] if found else ""

    def decoded(self) -> bytes:
        """Return the body without its transfer encoding; as it is where that is broken."""
        encoding = self.headers.first("Content-Transfer-Encoding").lower()
        if encoding.startswith("quoted-printable"):
            return quopri.decodestring(self.body).replace(b"\r\n", b"\n")
        if encoding.startswith("base64"):
            try:
                return binascii.a2b_base64(self.body).replace(b"\r\n", b"\n")
            except binascii.Error:
                return self.body
        return self.body

    def text(self) -> str:
        """Return the body as text: UTF-8 where it is, else the charset it names, else Latin-1."""
        return decoded_text(self.decoded(), charset=self.charset)


def parse_part(raw: bytes, limits: ReportLimits) -> Part:
    """Return the fields and the body of a message or part whose lines end in LF.

    Raises:
        DataError: `header_too_large`.
    """
    head, _, body = (b"", b"", raw[1:]) if raw.startswith(b"\n") else raw.partition(b"\n\n")
    if len(head) > limits.max_header_bytes:
        text = f"the header has more than {limits.max_header_bytes} bytes: {len(head)}"
        raise DataError("header_too_large", "", text)
    return Part(parse_headers(head), body)


def leaves(message: Part, limits: ReportLimits) -> list[Part]:
    """Return the parts that hold something, in their order; a message inside is one part and stays closed.

    Raises:
        DataError: `too_many_parts`, `too_deep`.
    """
    found: list[Part] = []
    for leaf in _leaves(message, limits, depth=0):
        found.append(leaf)
        if len(found) > limits.max_parts:
            raise DataError("too_many_parts", "", f"the message has more than {limits.max_parts} parts")
    return found


def _leaves(part: Part, limits: ReportLimits, *, depth: int) -> Iterator[Part]:
    boundary = _boundary_of(part)
    if boundary is None:
        yield part
        return
    if depth >= limits.max_nesting:
        raise DataError("too_deep", "", f"parts are nested more than {limits.max_nesting} levels deep")
    for raw in _cut(part.body, boundary):
        yield from _leaves(parse_part(raw, limits), limits, depth=depth + 1)


def _boundary_of(part: Part) -> bytes | None:
    if not part.content_type.startswith("multipart/"):
        return None
    found = _boundary(part.headers.first("Content-Type"))
    text = (found[1] or found[2] or "").rstrip() if found else ""
    return text.encode("utf-8", "replace") or None


def _cut(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """Yield what stands between the delimiters (RFC 2046 section 5.1.1); a missing last one is the end."""
    body = b"\n" + body
    start: int | None = None
    for delimiter in re.finditer(rb"\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\n|\Z)", body):
        if start is not None:
            yield body[start : delimiter.start()]
        if delimiter[1]:
            return
        start = delimiter.end() + 1
    if start is not None:
        yield body[start:]
