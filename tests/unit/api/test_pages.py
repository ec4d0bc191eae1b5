"""Pages load nothing from elsewhere, and their policy forbids it."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from postloop.api.application import create_app
from postloop.settings import Settings

NOTHING_THERE = Settings(kafka_brokers="127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")
PAGES = ("/", "/docs")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(NOTHING_THERE))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_key_and_holds_no_data(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_may_ask_this_server_only_and_run_its_own_scripts_only(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert "unsafe" not in str(rules)
    assert re.search(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?!data:)", answer.text) is None
    assert "@import" not in answer.text
    assert "url(" not in answer.text


async def test_the_documentation_names_every_route_of_the_openapi_document(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    document = (await client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
