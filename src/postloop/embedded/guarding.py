"""Commands that end with the process that starts them, see `lifeline`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LIFELINE: Final = Path(__file__).with_name("lifeline.py")


def guarded_command(command: Sequence[str]) -> list[str]:
    """Return what runs a command so that it ends with this process."""
    return [sys.executable, "-I", "-S", str(LIFELINE), str(os.getpid()), *command]
