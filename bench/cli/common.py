"""What the commands share: where they write, how they show progress, how they fail."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.latency import Latency
from postloop.domain.errors import PostloopError

# Wide enough for the table where the output is a file.
out = Console(width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True)


def _in_a_directory(path: Path | None) -> Path | None:
    """Refuse a file that could not be written in the end, before anything is measured."""
    if path is not None and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no directory {path.parent}")
    return path


JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write every figure to this file.", callback=_in_a_directory),
]
Timeout = Annotated[float, typer.Option("--timeout-s", help="Longest time of one run.")]


class Workplace(NamedTuple):
    """A directory that is gone afterwards, and the bars that tell how far the work is."""

    directory: Path
    bar: Progress

    def say(self, line: str) -> None:
        """Print a line above the bars, as it is."""
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Yield a workplace for the time of a command."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with (
        tempfile.TemporaryDirectory(prefix="postloop-bench-") as directory,
        Progress(*columns, console=err, transient=True) as bar,
    ):
        yield Workplace(Path(directory), bar)


@contextmanager
def part(what: str, total: int) -> Iterator[tuple[Workplace, Callable[[int], None]]]:
    """Yield a workplace and what moves its bar.

    Raises:
        Exit: Code 3, with the reason, when the part failed.
    """
    with workplace() as place:
        task = place.bar.add_task(what, total=total)
        move: Callable[[int], None] = lambda done: place.bar.update(task, completed=done)  # noqa: E731
        try:
            yield place, move
        except PostloopError as error:
            raise stop(str(error), code=3) from None


def latency_line(latency: Latency) -> str:
    """Return percentiles in one line."""
    return (
        f"p50 {latency.p50_ms:,.0f} ms, p95 {latency.p95_ms:,.0f} ms, p99 {latency.p99_ms:,.0f} ms, "
        f"longest {latency.longest_ms:,.0f} ms ({latency.count:,})"
    )


def recent_hour() -> datetime:
    """Return the start of an hour that has wholly passed: no event lies in the future."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


def write(path: Path, document: dict[str, Any]) -> None:
    """Write figures as JSON."""
    path.write_text(json.dumps(document, indent=1, default=_plain) + "\n", encoding="utf-8")


def stop(text: str, *, code: int) -> typer.Exit:
    """Say why the command ends; raise what is returned."""
    err.print(f"error: {text}", markup=False)
    return typer.Exit(code)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
