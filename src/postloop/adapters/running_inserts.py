"""Wait for the inserts that now run: a raw row can be seen before its insert has fed the rollups."""

from __future__ import annotations

import time

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.errors import UnavailableError
from postloop.adapters.migration_render import Layout


def processes_table(cluster: str) -> str:
    """Return what lists the queries that run: on one node, or on all of a named cluster."""
    return f"clusterAllReplicas('{cluster}', system.processes)" if cluster else "system.processes"


def wait_for_running_inserts(client: Client, layout: Layout, *, wait_s: float) -> None:
    """Return when the inserts of recorders and repairs that run at this moment have ended; later ones do not matter.

    Raises:
        UnavailableError: ClickHouse cannot be reached, or one of them ran for longer than `wait_s`.
    """
    query = (
        f"SELECT query_id FROM {processes_table(layout.cluster)} "  # noqa: S608  our own names
        "WHERE query_kind = 'Insert' AND startsWith(Settings['log_comment'], 'postloop-')"
    )

    def now_running() -> set[str]:
        with translated("the inserts that run cannot be read"):
            return {row[0] for row in client.query(query).result_rows}

    deadline = time.monotonic() + wait_s
    running = now_running()
    while running:
        if time.monotonic() > deadline:
            raise UnavailableError(f"an insert has run for more than {wait_s:g} s: {min(running)}")
        time.sleep(0.02)
        running &= now_running()
