"""`postloop up`: broker, ClickHouse and the roles as one stack, with one front and one way to stop."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from postloop.adapters import migrations, topic_admin
from postloop.adapters.api_key_store import ensure_operator_key
from postloop.adapters.clickhouse import connect
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import StackMetrics
from postloop.adapters.webhook_master_key import ensure_master_key
from postloop.domain.roles import API, BLOCKLIST, RECORDER, REPUTATION, ROLES, WEBHOOKS
from postloop.embedded import memory_watch
from postloop.embedded.addresses import HOST, Addresses, child_environment, embedded_settings, stack_settings
from postloop.embedded.broker import KEEPS_NOTHING, broker_answers, broker_command
from postloop.embedded.child import ChildSpec
from postloop.embedded.forks import Nursery
from postloop.embedded.front import Front
from postloop.embedded.lag import records_waiting
from postloop.embedded.memory_watch import Step
from postloop.embedded.priority import FIRST, LATER, STORE
from postloop.embedded.scrape import RESTORED, answers, figure, one_page, page
from postloop.embedded.stack_state import remove_stack, write_stack
from postloop.embedded.supervisor import Change, Supervisor
from postloop.settings import Settings

BROKER: Final = "broker"
CLICKHOUSE: Final = "clickhouse"
# With the longest of the roles, and then of broker and ClickHouse, which stop side by side: under the 10 s that a
# Ctrl-C may take.
_DRAIN_S: Final = 5.0
_STOP_S: Final = {
    API: 1.0,
    WEBHOOKS: 2.5,
    REPUTATION: 2.0,
    BLOCKLIST: 2.0,
    RECORDER: 2.5,
    CLICKHOUSE: 1.5,
    BROKER: 1.0,
}
# What the roles and the API import: all of it before any of them is started.
PRELOADED: Final = (
    "postloop_streams.without_pandas:refuse_pandas",
    "postloop_streams.worker",
    *(f"postloop_streams.{role}.app" for role in ROLES),
    "postloop.api.application",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.httptools_impl",
)
_WATCH_EVERY_S: Final = 1.0
_HURRY_S: Final = 0.2
_PROBE_TIMEOUT_S: Final = 2.0

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Plan:
    """Where a stack lives and what it runs."""

    directory: Path
    addresses: Addresses
    settings: Settings

    @property
    def logs(self) -> Path:
        return self.directory / "logs"


class Stack:
    """A running stack. `say` gets one document for every change of state, in order.

    Args:
        plan: Ports and directory; the caller holds the lock of the directory.
    """

    def __init__(self, plan: Plan, *, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._settings = embedded_settings(plan.settings, plan.addresses)
        self._health = HealthState([BROKER, CLICKHOUSE, *ROLES, API], stuck_after_s=30.0)
        self._metrics = StackMetrics()
        self._limit_bytes = memory_watch.limit_bytes(plan.settings)
        self._step = Step.NOTHING
        self._large_since_s = time.monotonic()
        self._memory_note = ""
        self._nursery = Nursery(PRELOADED, path=plan.logs / "nursery.log") if Nursery.is_possible() else None
        self._supervisor = Supervisor(self._specs(), on_change=self._on_change, nursery=self._nursery)
        self._front = Front(
            self._health,
            host=HOST,
            port=plan.addresses.front_port,
            about=self._about,
            metrics=self._metrics_page,
        )
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PROBE_TIMEOUT_S))

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, stay until `stop` is set, stop everything.

        Raises:
            PostloopError: A part does not come up, or its port is taken.
        """
        ensure_master_key(self._plan.directory)
        try:
            await self._front.server.start()
            if self._nursery is not None:
                await self._nursery.start()
            if await _first(self._supervisor.start(), stop):
                self._announce()
                await _first(self._watch(), stop)
        finally:
            await self._shut_down()

    def _specs(self) -> list[ChildSpec]:
        plan, addresses = self._plan, self._plan.addresses
        server = [sys.executable, "-m", "postloop.embedded.chserver", "--log-json", "--host", HOST]
        server += ["--path", str(plan.directory / "clickhouse"), "--port", str(addresses.clickhouse_port)]
        return [
            ChildSpec(
                BROKER,
                broker_command(addresses.kafka_port),
                plan.logs / "broker.log",
                probe=lambda: broker_answers(self._settings, addresses.kafka_port),
                prepare=lambda: asyncio.to_thread(self._create_topics),
                stop_s=_STOP_S[BROKER],
                priority=LATER,
            ),
            ChildSpec(
                CLICKHOUSE,
                server,
                plan.logs / "clickhouse.log",
                probe=self._clickhouse_answers,
                environment=self._environment(RECORDER),
                prepare=lambda: asyncio.to_thread(self._migrate),
                stop_s=_STOP_S[CLICKHOUSE],
                priority=STORE,
            ),
            *map(self._role, ROLES),
            self._api(),
        ]

    def _role(self, name: str) -> ChildSpec:
        plan = self._plan
        return ChildSpec(
            name,
            (sys.executable, "-m", "postloop_streams", name),
            plan.logs / f"{name}.log",
            probe=lambda: answers(self._session, f"{plan.addresses.role(name)}/ready"),
            environment=self._environment(name),
            prepare=(lambda: self._tell_restored(name)) if name in RESTORED else None,
            needs=(BROKER, CLICKHOUSE),
            restart_with=(BROKER,),
            is_forked=True,
            stop_s=_STOP_S[name],
            priority=LATER,
        )

    def _api(self) -> ChildSpec:
        """Return the API. It needs nothing to be there: it tells from the beginning how the others are."""
        plan, addresses = self._plan, self._plan.addresses
        command = [sys.executable, "-m", "postloop.api", "--host", HOST, "--port", str(addresses.http_port)]
        return ChildSpec(
            API,
            [*command, "--stack", addresses.front],
            plan.logs / f"{API}.log",
            probe=lambda: answers(self._session, f"{addresses.http}/ready/{API}"),
            environment=self._environment(RECORDER),
            is_forked=True,
            stop_s=_STOP_S[API],
            priority=FIRST,
        )

    def _environment(self, role: str) -> dict[str, str]:
        plan = self._plan
        port = plan.addresses.role_ports[role]
        return child_environment(plan.settings, plan.addresses, data_dir=plan.directory, health_port=port)

    async def _clickhouse_answers(self) -> bool:
        return await answers(self._session, f"{self._plan.addresses.clickhouse}/?query=SELECT%201", body="1")

    async def _tell_restored(self, role: str) -> None:
        """Say how much came back from ClickHouse after the broker had forgotten it."""
        metrics = await page(self._session, f"{self._plan.addresses.role(role)}/metrics")
        restored = figure(metrics, RESTORED[role])
        if restored:
            self._say({"event": "restored", "component": role, "entries": int(restored)})

    def _create_topics(self) -> None:
        topic_admin.create_topics(self._settings)

    def _migrate(self) -> None:
        client = connect(self._settings)
        try:
            outcome = migrations.apply(client, self._settings)
            key = ensure_operator_key(client, self._settings)
        finally:
            client.close()
        if outcome.migrations:
            self._say({"event": "migrated", "component": CLICKHOUSE, "migrations": outcome.migrations})
        if key is not None:
            self._say({"event": "operator_key", "key_id": key.key_id, "key": key.text})

    def _announce(self) -> None:
        addresses = self._plan.addresses
        told = stack_settings(self._plan.settings, addresses)
        write_stack(self._plan.directory, settings=told, http=addresses.http)
        self._say(
            {
                "event": "ready",
                "kafka": addresses.kafka,
                "clickhouse": addresses.clickhouse,
                "http": addresses.http,
            }
        )

    async def _watch(self) -> None:
        """Keep health, figures and the broker's memory in view until something fails for good."""
        failed = asyncio.create_task(self._supervisor.wait_failed())
        try:
            while not failed.done():
                await self._look()
                # A moment at which nothing waits may be short.
                pause_s = _HURRY_S if self._step is Step.WAIT else _WATCH_EVERY_S
                await asyncio.wait({failed}, timeout=pause_s)
            failed.result()
        finally:
            failed.cancel()

    async def _look(self) -> None:
        for name, child in self._supervisor.children.items():
            self._metrics.stack_memory_bytes.labels(component=name).set(child.memory_bytes)
            ready = self._supervisor.is_ready(name)
            works = ready and await child.spec.probe()
            # A child that is not ready was described by its last change of state.
            if ready:
                self._health.set(name, works, "does not answer, or is not ready itself")
            self._metrics.stack_component_ready.labels(component=name).set(works)
        await self._watch_memory()
        self._health.beat()

    async def _watch_memory(self) -> None:
        used = self._supervisor.children[BROKER].memory_bytes
        self._metrics.broker_memory_limit_bytes.set(self._limit_bytes)
        lag = await records_waiting(self._settings) if used >= self._limit_bytes else None
        now_s = time.monotonic()
        if not memory_watch.is_last_resort(used_bytes=used, limit_bytes=self._limit_bytes):
            self._large_since_s = now_s
        step = memory_watch.next_step(
            used_bytes=used,
            limit_bytes=self._limit_bytes,
            lag_records=lag,
            too_large_s=now_s - self._large_since_s,
        )
        text = memory_watch.explain(step, used_bytes=used, limit_bytes=self._limit_bytes, lag_records=lag)
        self._memory_note = text
        if step is not self._step and step is not Step.NOTHING:
            self._say({"event": "broker_memory", "step": step.value, "reason": text})
        self._step = step
        if step in (Step.EMPTY, Step.EMPTY_AT_A_LOSS):
            await self._supervisor.restart(BROKER, text)

    async def _shut_down(self) -> None:
        """Let the roles store what was produced, then stop all parts. Each step has its own time."""
        remove_stack(self._plan.directory)
        self._say({"event": "stopping"})
        if self._supervisor.is_ready(BROKER):
            # Also where a role is down: the others store what they can, and what is lost is said.
            deadline_s = time.monotonic() + _DRAIN_S
            await self._supervisor.hurry()
            await self._supervisor.retire(API)  # what it accepted is among what is waited for
            await self._drain(deadline_s)
        await self._supervisor.stop()
        if self._nursery is not None:
            await self._nursery.stop()
        await self._front.server.stop()
        await self._session.close()
        self._say({"event": "stopped"})

    async def _drain(self, deadline_s: float) -> None:
        """Wait until nothing produced is left unstored, but not long: a producer may go on for ever."""
        waiting = await records_waiting(self._settings)
        while waiting and time.monotonic() < deadline_s:
            await asyncio.sleep(0.1)
            waiting = await records_waiting(self._settings)
        if waiting:
            self._say(
                {
                    "event": "not_all_stored",
                    "component": RECORDER,
                    "records": waiting,
                    "reason": KEEPS_NOTHING,
                }
            )

    def _on_change(self, change: Change) -> None:
        document: dict[str, Any] = {
            "event": _EVENTS.get(change.event, change.event),
            "component": change.component,
        }
        if change.pid is not None:
            document["pid"] = change.pid
        if change.reason:
            document["reason"] = change.reason
        if change.pause_s:
            document["restart_in_s"] = round(change.pause_s, 3)
        if change.event == "ended":
            self._metrics.stack_restarts_total.labels(component=change.component).inc()
        self._health.set(change.component, change.event == "ready", change.reason or change.event)
        self._health.beat()
        self._say(document)

    def _about(self) -> dict[str, Any]:
        addresses = self._plan.addresses
        return {
            "kafka": addresses.kafka,
            "clickhouse": addresses.clickhouse,
            "http": addresses.http,
            "restarts": self._supervisor.restarts,
            "broker_memory": self._memory_note,
            "note": KEEPS_NOTHING,
        }

    async def _metrics_page(self) -> bytes:
        addresses = self._plan.addresses
        urls = {role: f"{addresses.role(role)}/metrics" for role in ROLES}
        urls[API] = f"{addresses.http}/metrics/{API}"
        pages = {name: await page(self._session, url) for name, url in urls.items()}
        return one_page(self._metrics.registry, {role: text for role, text in pages.items() if text})


# "ready" alone is said once, for the whole stack.
_EVENTS: Final = {"ready": "component_ready"}


async def _first(work: Any, stop: asyncio.Event) -> bool:
    """Run `work` until it is done or `stop` is set; return whether it was done."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for unfinished in (task, stopped):
            unfinished.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await unfinished
