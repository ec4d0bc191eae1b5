"""What /health and /ready tell of the whole: the supervisor's document, and the parts that are missing by name."""

import json

import httpx
import pytest

from postloop.api.application import create_app
from postloop.api.neighbours import Neighbours, Page
from postloop.settings import Settings

NOTHING_THERE = Settings(kafka_brokers="127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")
STACK = {
    "status": "live",
    "components": {
        "broker": {"ok": True, "reason": "", "since": "2026-01-02T03:04:05.000+00:00"},
        "recorder": {"ok": False, "reason": "ended", "since": "2026-01-02T03:04:05.000+00:00"},
    },
    "data_dir": "/data",
}


async def told(path: str, page: Page, monkeypatch: pytest.MonkeyPatch) -> httpx.Response:
    async def answered(_: Neighbours, url: str) -> Page:
        return page

    monkeypatch.setattr(Neighbours, "page", answered)
    transport = httpx.ASGITransport(create_app(NOTHING_THERE, stack_url="http://stack"))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_the_stack_is_told_as_its_supervisor_tells_it_and_what_is_missing_by_name(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await told(path, Page(503, json.dumps(STACK).encode()), monkeypatch)
    assert (answer.status_code, answer.json()) == (503, {**STACK, "missing": ["recorder"]})


@pytest.mark.parametrize("body", [b"refused", b"[]", b"{}"])
async def test_a_supervisor_that_does_not_answer_is_what_is_missing(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await told("/ready", Page(0, body), monkeypatch)
    assert (answer.status_code, answer.json()["missing"]) == (503, ["up"])


async def test_a_process_by_itself_names_its_own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await told("/ready/api", Page(0, b""), monkeypatch)
    assert (answer.status_code, answer.json()["missing"]) == (503, ["clickhouse", "kafka", "blocklist"])
