"""What the application says by itself: health without a key, and a problem document for all that is not there."""

from collections.abc import AsyncIterator

import httpx
import pytest

from postloop.adapters import kafka_security
from postloop.api.application import create_app
from postloop.settings import Settings

NOTHING_THERE = Settings(kafka_brokers="127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(kafka_security, "BOOTSTRAP_TIMEOUT_MS", 200)
    app = create_app(NOTHING_THERE)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client,
    ):
        yield client


async def test_it_starts_and_says_so_while_nothing_that_it_needs_is_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("GET", "/v1/nothing", 404, "not_found", id="no such route"),
        pytest.param("DELETE", "/health", 405, "method_not_allowed", id="no such method"),
    ],
)
async def test_what_is_not_there_is_a_problem_document(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"urn:postloop:problem:{code}"
    assert document["detail"]


async def test_requests_are_counted_by_route_and_not_by_path(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/anna@example.org"):
        await client.get(path)
    page = (await client.get("/metrics")).text
    assert 'postloop_api_requests_total{method="GET",route="/health",status="200"} 1.0' in page
    assert 'postloop_api_requests_total{method="",route="none",status="404"} 1.0' in page
    assert "anna" not in page


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/health", "/ready", "/metrics", "/v1/domains"]
)
async def test_head_is_answered_as_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_head_is_refused_where_get_is_not_and_named_where_it_is(client: httpx.AsyncClient) -> None:
    assert (await client.head("/v1/events")).status_code == 405
    assert (await client.delete("/health")).headers["allow"] == "GET, HEAD"
