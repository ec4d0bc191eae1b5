"""Live, ready, and the server that tells."""

import asyncio
import socket

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from postloop.adapters.health_server import HealthServer, HealthState, PortTakenError
from postloop.adapters.metrics import (
    ApiMetrics,
    BlocklistMetrics,
    RecorderMetrics,
    ReputationMetrics,
    StackMetrics,
)


class Seconds:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_process_is_ready_when_every_component_is_in_order() -> None:
    state = HealthState(["kafka", "clickhouse"])
    assert not state.is_ready
    state.set("kafka", True)
    assert not state.is_ready
    state.set("clickhouse", True)
    assert state.is_ready


def test_a_process_without_components_is_not_ready() -> None:
    assert not HealthState().is_ready


def test_a_component_that_fails_tells_why_and_since_when() -> None:
    state = HealthState(["kafka"])
    state.set("kafka", True)
    state.set("kafka", False, "no route")
    first = state.components["kafka"]
    state.set("kafka", False, "refused")
    again = state.components["kafka"]
    assert (first.reason, again.reason) == ("no route", "refused")
    assert first.since == again.since


def test_a_loop_that_no_longer_beats_is_not_live() -> None:
    clock = Seconds()
    state = HealthState(["kafka"], stuck_after_s=10, clock=clock)
    state.set("kafka", True)
    clock.now_s = 10.1
    assert (state.is_live, state.is_ready) == (False, False)
    state.beat()
    assert (state.is_live, state.is_ready) == (True, True)


async def answers(port: int) -> dict[str, tuple[int, str]]:
    async with aiohttp.ClientSession() as session:
        found = {}
        for path in ("/health", "/ready", "/metrics"):
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                found[path] = (response.status, await response.text())
        return found


async def test_the_server_answers_with_status_codes_that_probes_understand() -> None:
    state = HealthState(["kafka"])
    metrics = RecorderMetrics()
    metrics.recorder_events_total.labels(topic="email.send", outcome="stored").inc(5)
    server = HealthServer(state, "127.0.0.1", 0, metrics.registry)
    await server.start()
    try:
        before = await answers(server.port)
        state.set("kafka", True)
        after = await answers(server.port)
    finally:
        await server.stop()
    assert (before["/health"][0], before["/ready"][0], after["/ready"][0]) == (200, 503, 200)
    assert 'postloop_recorder_events_total{outcome="stored",topic="email.send"} 5.0' in after["/metrics"][1]


def test_a_taken_port_is_named_with_the_setting_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            PortTakenError, match=rf"port {port} on 127\.0\.0\.1 is taken: set POSTLOOP_HEALTH_PORT"
        ):
            HealthServer(HealthState(), "127.0.0.1", port, RecorderMetrics().registry)


def test_an_address_of_another_machine_is_refused_with_the_reason() -> None:
    with pytest.raises(PortTakenError, match=r"cannot listen on 192\.0\.2\.1:8090 .*Cannot assign"):
        HealthServer(HealthState(), "192.0.2.1", 8090, RecorderMetrics().registry)


async def test_a_stopped_server_frees_its_port() -> None:
    server = HealthServer(HealthState(), "127.0.0.1", 0, RecorderMetrics().registry)
    await server.start()
    await server.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", server.port)


@pytest.mark.parametrize(
    "metrics",
    [RecorderMetrics(), BlocklistMetrics(), ReputationMetrics(), ApiMetrics(), StackMetrics()],
    ids=["recorder", "blocklist", "reputation", "api", "stack"],
)
def test_metric_names_carry_the_namespace_and_end_in_their_unit(
    metrics: RecorderMetrics | BlocklistMetrics | ApiMetrics | StackMetrics,
) -> None:
    from prometheus_client import generate_latest

    families = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
    assert families
    for family in families:
        assert family.name.startswith("postloop_")
        assert family.documentation
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_rows"))


async def test_a_server_that_is_stopped_before_it_started_stays_silent() -> None:
    server = HealthServer(HealthState(), "127.0.0.1", 0, RecorderMetrics().registry)
    await server.stop()
    await server.start()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_server_that_is_stopped_while_it_starts_stays_stopped() -> None:
    server = HealthServer(HealthState(), "127.0.0.1", 0, RecorderMetrics().registry)
    await asyncio.gather(server.start(), server.stop())
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
