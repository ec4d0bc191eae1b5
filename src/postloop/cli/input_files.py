"""Files that commands read: by their name, from standard input, and compressed as archives of logs are."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from postloop.cli.common import Exit, stop
from postloop.domain.errors import PostloopError

# RFC 1952, section 2.3.1. No JSON and no message begins with it.
_GZIP: Final = b"\x1f\x8b"


def open_input(file: str, stack: ExitStack) -> tuple[BinaryIO, int | None]:
    """Return the stream of a file, or of standard input for -, and its size in bytes where it is known.

    What gzip compressed is read as what it holds, whatever its name. Where that is damaged, reading raises a
    PostloopError: what stands before the damage was read by then.
    """
    packed, size = _opened(file, stack)
    if packed.peek(len(_GZIP))[: len(_GZIP)] != _GZIP:
        return cast(BinaryIO, packed), size
    return cast(BinaryIO, io.BufferedReader(_Unpacked(packed, file))), None


def _opened(file: str, stack: ExitStack) -> tuple[io.BufferedReader, int | None]:
    if file == "-":
        stdin: Any = sys.stdin.buffer
        # As it is: one more buffer would wait until it is full before a line is passed on.
        return (stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin)), None
    try:
        stream = stack.enter_context(Path(file).open("rb"))  # noqa: SIM115 - the stack closes it
        return stream, Path(file).stat().st_size
    except OSError as error:
        raise stop(f"cannot read {file}: {error.strerror}", Exit.USAGE) from None


class _Unpacked(io.RawIOBase):
    """What a compressed stream holds."""

    def __init__(self, packed: io.BufferedReader, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=packed)
        self._name = "standard input" if name == "-" else name
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise PostloopError(
                f"{self._name} is damaged: what gzip compressed ends after {self._size:,} bytes of content ({error})"
            ) from error
        buffer[: len(piece)] = piece
        self._size += len(piece)
        return len(piece)
