"""Works off the hours that were queued for a comparison of rollups and raw rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import PATIENT, connect
from postloop.adapters.rollup_repair import work_queue
from postloop.domain.errors import PostloopError
from postloop.settings import Settings

log = structlog.stdlib.get_logger("postloop.reconciler")

_EVERY_S: Final = 5.0


class Reconciler:
    """A background task of the recorder; several workers may run it at once, repairs carry tokens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None

    async def run(self, should_stop: Callable[[], bool]) -> None:
        """Look into the queue every few seconds until told to stop."""
        while not should_stop():
            await asyncio.sleep(_EVERY_S)
            try:
                await asyncio.to_thread(self._work)
            except PostloopError as error:
                self._client = None
                log.warning("reconcile_postponed", reason=str(error))

    def _work(self) -> None:
        if self._client is None:
            self._client = connect(self._settings, **PATIENT)
        report = work_queue(self._client)
        if report.hours:
            log.info("rollups_compared", hours=len(report.hours), differences=report.difference_count)
