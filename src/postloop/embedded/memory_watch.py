"""Keeps the embedded broker's memory from eating the machine.

The broker honours no retention and cannot delete records, so it grows by about the bytes produced. What it
holds is needed only until the recorder has stored it. So above the limit it is started anew, empty, at the
first moment at which nothing waits to be stored; only far above the limit it is emptied whatever waits: the
machine's own way out, killing a process, would lose the same and more.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import psutil  # type: ignore[import-untyped]

from postloop.settings import Settings

WARN_SHARE: Final = 0.5
# Above this share of the limit, for this long, the broker is emptied although records wait in it. The recorder
# commits once a second: without the patience a burst would count as lost that is stored a moment later.
LAST_RESORT_SHARE: Final = 1.25
PATIENCE_S: Final = 10.0
MEBIBYTE: Final = 1024 * 1024


class Step(Enum):
    """What to do about the broker's memory."""

    NOTHING = "nothing"
    WARN = "warn"
    WAIT = "wait"
    EMPTY = "empty"
    EMPTY_AT_A_LOSS = "empty at a loss"


def limit_bytes(settings: Settings) -> int:
    """Return the limit in force: as configured, else half of the machine's memory."""
    if settings.memory_limit_mb:
        return settings.memory_limit_mb * MEBIBYTE
    return int(psutil.virtual_memory().total) // 2


def is_last_resort(*, used_bytes: int, limit_bytes: int) -> bool:
    """Return whether the broker is so large that patience with it is limited."""
    return used_bytes >= limit_bytes * LAST_RESORT_SHARE


def next_step(
    *, used_bytes: int, limit_bytes: int, lag_records: int | None, too_large_s: float = 0.0
) -> Step:
    """Return what to do now.

    Args:
        too_large_s: For how long `is_last_resort` has been true. Seconds.
        lag_records: Records in the broker that are not stored yet; None when nobody can tell, which counts as
            "some": the recorder may be starting.
    """
    if used_bytes < limit_bytes:
        return Step.WARN if used_bytes >= limit_bytes * WARN_SHARE else Step.NOTHING
    if lag_records == 0:
        return Step.EMPTY
    is_hopeless = is_last_resort(used_bytes=used_bytes, limit_bytes=limit_bytes) and too_large_s >= PATIENCE_S
    return Step.EMPTY_AT_A_LOSS if is_hopeless else Step.WAIT


def explain(step: Step, *, used_bytes: int, limit_bytes: int, lag_records: int | None) -> str:
    """Return the sentence that a person reads when the step changes."""
    figures = (
        f"broker uses {used_bytes // MEBIBYTE} MB of {limit_bytes // MEBIBYTE} MB (POSTLOOP_MEMORY_LIMIT_MB)"
    )
    waiting = "an unknown number of" if lag_records is None else f"{lag_records:,}"
    texts = {
        Step.NOTHING: figures,
        Step.WARN: f"{figures}; at the limit it is restarted empty, once everything in it is stored",
        Step.WAIT: f"{figures}; it is restarted empty as soon as {waiting} waiting records are stored",
        Step.EMPTY: f"{figures}; restarted empty: everything in it is stored in ClickHouse",
        Step.EMPTY_AT_A_LOSS: f"{figures}; restarted empty to save the machine: {waiting} records lost",
    }
    return texts[step]
