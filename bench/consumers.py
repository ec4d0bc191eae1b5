"""Starts the process of a variant, told where it reads and writes."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from bench import meter, stack
from bench.processes import Process, free_port, wait_until
from bench.registry import VARIANTS, Variant


def start_consumer(
    variant: Variant, *, brokers: str, clickhouse_port: int, directory: Path, python: Path, **settings: str
) -> Process:
    """Start a variant's process in a consumer group of its own."""
    group = f"bench-{variant.name}-{uuid.uuid4().hex[:8]}"
    env = stack.clean_environment()
    if variant.is_product:
        ours = {
            "kafka_brokers": brokers,
            "topic_prefix": stack.PREFIX,
            "group_prefix": group,
            "clickhouse_url": f"http://127.0.0.1:{clickhouse_port}",
            "health_port": str(free_port()),
            "log_format": "json",
            "data_dir": str(directory),
            **settings,
        }
        env |= {f"POSTLOOP_{name.upper()}": value for name, value in ours.items()}
        argv = [str(python), "-m", variant.module, "recorder"]
    else:
        env |= {
            "BENCH_BROKERS": brokers,
            "BENCH_GROUP": group,
            "BENCH_PREFIX": stack.PREFIX,
            "BENCH_CLICKHOUSE_PORT": str(clickhouse_port),
            "BENCH_STARTED_FILE": str(directory / "started"),
            "BENCH_DATA_DIR": str(directory / "data"),
        }
        argv = [str(python), "-m", variant.module]
    return Process(argv, log_path=directory / "consumer.log", env=env, cwd=directory)


def start_recorder(*, brokers: str, clickhouse_port: int, directory: Path, **settings: str) -> Process:
    """Start the project's recorder with some settings of its own."""
    return start_consumer(
        VARIANTS["postloop"],
        brokers=brokers,
        clickhouse_port=clickhouse_port,
        directory=directory,
        python=Path(sys.executable),
        **settings,
    )


def wait_assigned(recorder: Process) -> None:
    """Return when a recorder has its partitions.

    Raises:
        BenchError: It ended, or got none in time.
    """
    wait_until(lambda: meter.assigned_at(recorder.log()) is not None, what="the recorder", process=recorder)
