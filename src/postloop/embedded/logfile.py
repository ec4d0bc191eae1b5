"""The log of a child process: appended to by the child itself, bounded, and read for its last line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import IO, Final

MAX_BYTES: Final = 10 * 1024 * 1024
_TAIL_BYTES: Final = 8192
_MAX_LINE: Final = 300


class LogFile:
    """`NAME.log` and, when it has grown large, the part before as `NAME.log.1`."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes

    def open_for_child(self) -> IO[bytes]:
        """Return the file opened for appending; close it once the child has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.open("ab")

    def rotate_if_large(self) -> bool:
        """Keep what is there as `.1` and start over; return whether that was needed.

        The child goes on writing to the same open file, so it is copied and emptied, not renamed: because it
        was opened for appending, the next line lands at the new end. Lines written in between may be lost.
        """
        try:
            if self.path.stat().st_size <= self._max_bytes:
                return False
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
            with self.path.open("r+b") as file:
                file.truncate(0)
        except OSError:
            return False  # a log must never stop what it tells about
        return True

    def last_line(self) -> str:
        """Return the last line that says something, shortened; of a JSON line its event and text."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return _readable(said[-1])[:_MAX_LINE] if said else ""


def _readable(line: str) -> str:
    try:
        entry = json.loads(line)
        parts = [str(entry[name]) for name in ("event", "reason", "text", "error") if entry.get(name)]
    except (ValueError, TypeError, AttributeError):
        return line
    return ": ".join(parts) or line
