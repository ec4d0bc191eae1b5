"""Data directories of ClickHouse that are filled once and copied for every run."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import stack
from bench.history import History, fill
from bench.processes import BenchError
from bench.workload import Counts

_MERGES: Final = "SELECT count() FROM system.merges"
_QUIET_S: Final = 2.0
_LONGEST_MERGING_S: Final = 600.0
# Only a directory of a part (or of its projection) has it. What stands in one is never written again: ClickHouse
# itself shares these files between parts by hard links.
_PART: Final = "checksums.txt"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A data directory at rest, and what is counted in it."""

    directory: Path
    counts: Counts


def make_template(history: History, directory: Path, *, on_rows: Callable[[int], None]) -> Template:
    """Fill a new data directory and return it once the server has merged what it wants to.

    Raises:
        PostloopError: It cannot be filled, or does not count what was inserted.
    """
    directory.mkdir(parents=True)
    with stack.clickhouse(directory) as store:
        fill(store, history, on_rows=on_rows)
        _wait_for_merges(store)
        counts = store.counts()
    for name in ("rows", "rollup_events"):
        if getattr(counts, name) != history.row_count:
            raise BenchError(
                f"{name} is {getattr(counts, name)} after {history.row_count} rows were inserted"
            )
    return Template(directory=stack.data_directory(directory), counts=counts)


def copy_template(template: Template, directory: Path) -> None:
    """Put a copy of the template where a server on `directory` finds it; the files of parts are shared."""
    target = stack.data_directory(directory)
    shutil.copytree(template.directory, target, symlinks=True, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    if (Path(source).parent / _PART).exists():
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _wait_for_merges(store: stack.Store) -> None:
    """Return when the server has been merging nothing for a while, or has merged for very long."""
    deadline = time.monotonic() + _LONGEST_MERGING_S
    quiet_since = time.monotonic()
    while time.monotonic() < min(deadline, quiet_since + _QUIET_S):
        if store.rows(_MERGES)[0][0]:
            quiet_since = time.monotonic()
        time.sleep(0.2)
