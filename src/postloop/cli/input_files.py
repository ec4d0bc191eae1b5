"""Files that commands read: by their name, from standard input, and compressed as archives of logs are."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from postloop.cli.common import Exit, stop
from postloop.domain.errors import PostloopError

# The parts of a head are shorter.
_LONG_READ: Final = 1024
# RFC 1952, section 2.3.1. No JSON and no message begins with it.
_GZIP: Final = b"\x1f\x8b"


class DamagedInputError(PostloopError):
    """What was compressed cannot be read to its end."""


def open_input(file: str, stack: ExitStack) -> tuple[BinaryIO, int | None]:
    """Return the stream of a file, or of standard input for -, and its size in bytes where it is known.

    What gzip compressed is read as what it holds, whatever its name. Where that is damaged, reading raises a
    DamagedInputError: what stands before the damage was read by then.
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


class _Some:
    """A stream of which a long read returns what is there: a line that was sent is not held back until more come."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        return self._stream.read(size) if size < _LONG_READ else self._stream.read1(size)


class _Unpacked(io.RawIOBase):
    """What a compressed stream holds."""

    def __init__(self, packed: io.BufferedReader, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=cast(Any, _Some(packed)))
        self._name = "standard input" if name == "-" else name
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedInputError(
                f"{self._name} is damaged: what gzip compressed ends after {self._size:,} bytes of content ({error})"
            ) from error
        buffer[: len(piece)] = piece
        self._size += len(piece)
        return len(piece)


class Damage:
    """Whether an input ended in damage."""

    def __init__(self) -> None:
        self.error: DamagedInputError | None = None

    def tell(self) -> None:
        """End the command where it did, with exit code 2, once what stands before was finished and reported."""
        if self.error is not None:
            raise stop(str(self.error), Exit.USAGE)


@contextmanager
def up_to_damage() -> Iterator[Damage]:
    """Read until the end, or until damage, which is told later."""
    damage = Damage()
    try:
        yield damage
    except DamagedInputError as error:
        damage.error = error
