"""What a running stack leaves in its data directory: a lock, and `stack.json` with its addresses."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from postloop.domain.errors import PostloopError
from postloop.settings import STACK_FILE

LOCK_FILE: Final = "up.lock"


class AlreadyRunningError(PostloopError):
    """Another `postloop up` has the data directory."""


@contextmanager
def data_directory_lock(directory: Path) -> Iterator[None]:
    """Hold the data directory; the lock ends with the process, however it ends.

    Raises:
        AlreadyRunningError: Another process holds it.
        PostloopError: The directory cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = (directory / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise PostloopError(f"data directory {directory} cannot be used: {error.strerror}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError(_running_text(directory, handle)) from None
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def write_stack(directory: Path, *, settings: Mapping[str, str], http: str) -> None:
    """Tell other commands where the stack is; a reader sees the old file or the new one, never a part."""
    content = {"settings": dict(settings), "pid": os.getpid(), "http": http}
    with tempfile.NamedTemporaryFile("w", dir=directory, delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(directory / STACK_FILE)


def remove_stack(directory: Path) -> None:
    """Forget the stack; does nothing when there is none."""
    with suppress(OSError):
        (directory / STACK_FILE).unlink()


def _running_text(directory: Path, handle: Any) -> str:
    handle.seek(0)
    pid = handle.read().strip()
    return (
        f"a stack already runs on {directory}{f' (pid {pid})' if pid else ''}: "
        "stop it with Ctrl-C, or choose another --data-dir"
    )
