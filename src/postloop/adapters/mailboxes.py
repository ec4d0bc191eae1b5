"""Mailboxes on disk, one message at a time: a single file, an mbox (RFC 4155), a maildir.

However large a mailbox or a message is, memory holds the beginning of one message.
"""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from postloop.domain.reports.fields import moment_of

_LINE_BYTES: Final = 65_536
_MAILDIR_FOLDERS: Final = ("new", "cur")  # tmp holds what is still being delivered

# A line of its own before each message: "From ", somebody, a time with hours and minutes, a year. Text that begins
# a paragraph with "From" and was not quoted has no such time.
_is_from_line: Final = re.compile(rb"From .{0,300}\d{1,2}:\d\d.{0,40}\b(?:19|20)\d\d\b").match
_from_time: Final = re.compile(
    rb"([A-Z][a-z]{2}) +(\d{1,2}) (\d{1,2}:\d\d(?::\d\d)?) +(?:([+-]\d{4}|[A-Z]{1,5}) +)?(\d{4})(?: +([+-]\d{4}))?"
).search
# mboxrd quotes lines that begin with any number of > and "From ", mboxo those without; both lose one.
_is_quoted_from: Final = re.compile(rb">+From ").match

OnBytes = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a mailbox; `number` starts at 1.

    `raw` holds one byte more than the limit where the message is longer. `name` is that of its file in a maildir.
    `problem` says why it could not be read.
    """

    number: int
    raw: bytes
    name: str = ""
    received_at: datetime | None = None
    problem: str = ""


def read_single(stream: BinaryIO, *, max_bytes: int, on_bytes: OnBytes) -> Iterator[StoredMessage]:
    """Yield the one message of a file."""
    raw = stream.read(max_bytes + 1)
    on_bytes(len(raw))
    yield StoredMessage(1, raw)


def read_mbox(stream: BinaryIO, *, max_bytes: int, on_bytes: OnBytes) -> Iterator[StoredMessage]:
    """Yield the messages of an mbox, without their From lines and the quoting of others.

    A From line begins the file or follows a blank line, and has a time. What stands before the first one is a
    message without one, so that nothing of a file is passed over in silence.
    """
    number, received_at, after_blank = 1, None, True
    message = _Collected(max_bytes)
    for place, (line, begins) in enumerate(_lines(stream)):
        on_bytes(len(line))
        if place == 0:  # it would hide the From line, and with it where the first message begins
            line = line.removeprefix(BOM_UTF8)
        if begins and after_blank and _is_from_line(line):
            if message.has_content:
                yield StoredMessage(number, message.taken(), received_at=received_at)
                number += 1
            message, received_at = _Collected(max_bytes), _time_of(line)
        else:
            message.add(line[1:] if begins and _is_quoted_from(line) else line)
        after_blank = begins and line in (b"\n", b"\r\n")
    if message.has_content:
        yield StoredMessage(number, message.taken(), received_at=received_at)


def read_maildir(path: Path, *, max_bytes: int, on_bytes: OnBytes) -> Iterator[StoredMessage]:
    """Yield the messages in `new` and `cur`; what is no regular file is passed over, links too.

    `on_bytes` is told the size of each file, also of one that cannot be read.
    """
    for number, entry in enumerate(_maildir_files(path), start=1):
        try:
            on_bytes(entry.stat(follow_symlinks=False).st_size)
            with Path(entry.path).open("rb") as file:
                yield StoredMessage(number, file.read(max_bytes + 1), name=_name_of(entry))
        except OSError as error:
            yield StoredMessage(number, b"", name=_name_of(entry), problem=error.strerror or "cannot be read")


def is_maildir(path: Path) -> bool:
    """Return whether a directory has the folders of a maildir."""
    return any((path / folder).is_dir() for folder in _MAILDIR_FOLDERS)


def maildir_bytes(path: Path) -> int:
    """Return the size of all messages of a maildir, for the length of a progress bar."""
    total = 0
    for entry in _maildir_files(path):
        try:
            total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # a mail program moved it between new and cur
            continue
    return total


def _maildir_files(path: Path) -> Iterator[os.DirEntry[str]]:
    for folder in _MAILDIR_FOLDERS:
        if (path / folder).is_dir():
            with os.scandir(path / folder) as entries:
                yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))


def _name_of(entry: os.DirEntry[str]) -> str:
    path = Path(entry.path)
    return f"{path.parent.name}/{path.name}"


def _lines(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield lines, long ones in pieces, and whether each is the beginning of its line."""
    begins = True
    while line := stream.readline(_LINE_BYTES):
        yield line, begins
        begins = line.endswith(b"\n")


def _time_of(from_line: bytes) -> datetime | None:
    """Return the time of a From line (asctime, in UTC by RFC 4155); None where it has none that can be read."""
    found = _from_time(from_line)
    if found is None:
        return None
    month, day, time, zone, year, zone_behind = (part.decode() if part else "" for part in found.groups())
    return moment_of(f"{day} {month} {year} {time} {zone or zone_behind or '+0000'}")


class _Collected:
    """The beginning of a message, up to one byte above the limit."""

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes + 1
        self._bytes = bytearray()
        self.has_content = False

    def add(self, line: bytes) -> None:
        self.has_content = self.has_content or not line.isspace()
        self._bytes += line[: self._limit - len(self._bytes)]

    def taken(self) -> bytes:
        """Return the bytes without the blank line that separates messages."""
        is_cut = len(self._bytes) == self._limit
        return bytes(self._bytes) if is_cut else bytes(self._bytes).rstrip(b"\r\n") + b"\n"
