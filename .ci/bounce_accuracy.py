"""The classifier's accuracy on labelled bounces of other people, which licences keep out of the package.

    python .ci/bounce_accuracy.py DIR

DIR holds score.py, dev.jsonl and provider-texts.jsonl. The figures are those that score.py prints; the check fails
when one of them is below its limit.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

POSTLOOP = str(Path(sys.executable).with_name("postloop"))


class Limits(NamedTuple):
    """The least that must be reached; None: not looked at."""

    hard_accuracy: float | None
    hard_precision: float | None
    reason: float


LIMITS = {
    "dev.jsonl": Limits(hard_accuracy=0.97, hard_precision=0.97, reason=0.90),
    "provider-texts.jsonl": Limits(hard_accuracy=None, hard_precision=None, reason=0.85),
}
HARD = re.compile(r"^hard accuracy\s+([\d.]+)\s+precision ([\d.]+)", re.MULTILINE)
REASON = re.compile(r"^reason accuracy ([\d.]+)", re.MULTILINE)


def reached(directory: Path, name: str) -> Limits:
    """Score one file; return what was reached."""
    command = [sys.executable, str(directory / "score.py"), str(directory / name), "--level", "coarse", "--"]
    done = subprocess.run(
        [*command, POSTLOOP, "classify", "--jsonl"], check=True, capture_output=True, text=True
    )
    if "exited" in done.stderr:
        raise SystemExit(done.stderr)
    hard, reason = HARD.search(done.stdout), REASON.search(done.stdout)
    assert hard is not None
    assert reason is not None
    return Limits(float(hard[1]), float(hard[2]), float(reason[1]))


def main(directory: Path) -> int:
    """Run the check; return the exit code."""
    failed = False
    for name, limits in LIMITS.items():
        found = reached(directory, name)
        for figure, limit in limits._asdict().items():
            value = found._asdict()[figure]
            is_low = limit is not None and value < limit
            failed |= is_low
            wanted = "" if limit is None else f" (at least {limit:.2f}{', FAILED' if is_low else ''})"
            print(f"{name} {figure} {value:.4f}{wanted}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
