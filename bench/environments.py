"""The peers' environments: one venv each under .cache/bench, made on first use from pinned requirements."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from postloop.domain.errors import PostloopError

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "bench"
_INSTALL_TIMEOUT_S: Final = 600


class EnvironmentFailedError(PostloopError):
    """A peer's environment could not be made; the message says why."""


def interpreter(name: str | None) -> Path:
    """Return the Python of an environment, making it when its requirements changed; None is our own.

    Raises:
        EnvironmentFailedError: Its packages cannot be installed here.
    """
    if name is None:
        return Path(sys.executable)
    requirements = ROOT / "bench" / f"requirements-{name}.txt"
    home, wanted = CACHE / f"venv-{name}", hashlib.sha256(requirements.read_bytes()).hexdigest()
    python, stamp = home / "bin" / "python", home / "requirements.sha256"
    if not (stamp.exists() and stamp.read_text() == wanted):
        _make(name, home, requirements)
        stamp.write_text(wanted)
    return python


def _make(name: str, home: Path, requirements: Path) -> None:
    try:
        venv.create(home, with_pip=False, symlinks=True)
        # pip of our own environment installs into the other: Debian keeps ensurepip in a package of its own.
        command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python")]
        done = subprocess.run(
            [*command, "install", "-q", "-r", str(requirements)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailedError(f"the environment of {name} cannot be made: {error}") from error
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            done.stderr.strip()
        ]
        raise EnvironmentFailedError(
            f"the environment of {name} cannot be made from {requirements.relative_to(ROOT)}: {reasons[-1]}"
        )


def versions(python: Path, *packages: str) -> dict[str, str]:
    """Return the installed versions of packages in an environment; those that are not there are left out."""
    code = (
        "import sys, json, importlib.metadata as m\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    done = subprocess.run([str(python), "-c", code, *packages], capture_output=True, text=True, check=True)
    result: dict[str, str] = json.loads(done.stdout)
    return result
