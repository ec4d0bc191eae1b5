"""Data of an insert as a file that lives in memory and leaves nothing behind, however the process ends."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("postloop-insert")
    descriptor, name = tempfile.mkstemp(prefix="postloop-insert-")  # pragma: no cover - not Linux
    os.unlink(name)  # noqa: PTH108  # pragma: no cover
    return descriptor  # pragma: no cover


@contextmanager
def data_file(data: memoryview) -> Iterator[str]:
    """Yield the path, good for this process only, of a file that holds the data."""
    descriptor = _anonymous_file()
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
        yield f"/dev/fd/{descriptor}" if not os.path.isdir("/proc/self/fd") else f"/proc/self/fd/{descriptor}"  # noqa: PTH112
    finally:
        os.close(descriptor)
