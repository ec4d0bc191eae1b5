"""Taking over partitions: find what was stored last, settle what is uncertain, load the memory of ids."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import structlog

from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError
from postloop.adapters.run_store import LogPartition, RunStore, StoredRun
from postloop.domain.event_types import event_type_of
from postloop.settings import Settings
from postloop_streams.recorder.partitions import Assignment, PartitionState
from postloop_streams.recorder.seen import SeenIds

log = structlog.stdlib.get_logger("postloop.recorder")

# The engine remembers the tokens of the last 100,000 blocks of a table; a run beyond half of that is not sent
# again under its token, but compared with the rollups.
HEALABLE_RUNS: Final = 50_000
_SURELY_HEALABLE: Final = timedelta(minutes=2)


async def open_partitions(
    assignment: Assignment,
    *,
    store: RunStore,
    settings: Settings,
    topic_ids: Callable[[list[str]], Mapping[str, str]],
    on_heal: Callable[[], None],
) -> dict[tuple[str, int], PartitionState]:
    """Return what is known of each wanted partition, after everything uncertain was settled.

    Raises:
        UnavailableError: The broker or ClickHouse is away; try again.
        RefusedError: A topic does not exist.
    """
    ids = await asyncio.to_thread(topic_ids, sorted({topic for topic, _ in assignment.wanted}))
    logs = {
        (topic, partition): LogPartition(
            topic.removeprefix(settings.topic_prefix), _known(ids, topic), partition
        )
        for topic, partition in assignment.wanted
    }
    await asyncio.to_thread(store.wait_for_inserts, timeout_s=settings.insert_timeout.total_seconds())
    last = await asyncio.to_thread(store.last_stored, logs.values())
    await _settle(assignment, logs, last, store=store, on_heal=on_heal)
    now = utc_now()
    recent = await asyncio.to_thread(
        store.recent_ids,
        [(p.topic, p.partition) for p in logs.values()],
        since=now - settings.dedup_window,
        limit=settings.dedup_max_ids // 2,
    )
    states = {}
    for key, partition in logs.items():
        seen = SeenIds(
            max_ids=max(1, settings.dedup_max_ids // len(logs)),
            window_s=settings.dedup_window.total_seconds(),
            now_s=now.timestamp(),
        )
        known = recent.get((partition.topic, partition.partition))
        if known is not None:
            seen.add(known, now_s=now.timestamp())
        run = last.get(partition)
        kind = event_type_of(partition.topic)
        states[key] = PartitionState(partition, kind, seen, stored_to=run.last_offset if run else -1)
    return states


async def _settle(
    assignment: Assignment,
    logs: Mapping[tuple[str, int], LogPartition],
    last: Mapping[LogPartition, StoredRun],
    *,
    store: RunStore,
    on_heal: Callable[[], None],
) -> None:
    """Heal every run that reaches beyond what was committed: nobody knows whether its insert was finished."""
    uncertain = {
        last[partition].run_id: last[partition].stored_at
        for key, partition in logs.items()
        if partition in last and last[partition].last_offset >= assignment.wanted[key]
    }
    for run_id, stored_at in sorted(uncertain.items()):
        if assignment.is_closed:
            return
        young = utc_now() - stored_at < _SURELY_HEALABLE
        if young or await asyncio.to_thread(store.runs_since, stored_at) < HEALABLE_RUNS:
            rows = await asyncio.to_thread(store.heal, run_id, reason="taken over")
            on_heal()
            log.info("run_healed", run_id=run_id, rows=rows)
        else:
            await asyncio.to_thread(store.check_later, run_id, reason="too old to heal")
            log.warning("run_left_to_reconcile", run_id=run_id)


def _known(ids: Mapping[str, str], topic: str) -> str:
    try:
        return ids[topic]
    except KeyError:
        raise RefusedError(f"topic {topic} does not exist: run `postloop topics create`") from None
