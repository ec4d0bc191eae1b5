"""What is said to a body that cannot be read: to a stranger nothing but 401, to others what is wrong with it."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from postloop.api.application import create_app
from postloop.api.key_ring import KeyRing
from postloop.domain.api_key import ApiKey
from postloop.settings import Settings

NOTHING_THERE = Settings(kafka_brokers="127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")
CHECK, UNBLOCK, EVENTS = "/v1/blocklist/check", "/v1/blocklist/unblock", "/v1/events"
PAIR = {"sender_domain": "shop.example", "recipient": "anna@gmail.com"}
GOOD = {CHECK: {"pairs": [PAIR]}, UNBLOCK: {"recipient": "anna@gmail.com", "reason": "it works"}}
BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"not json",
    "no UTF-8": b"\xff",
    "very deep": b"[" * 100_000,
    "another form": b'{"surprise": 1}',
    "nearly a megabyte": b" " * 999_999,
}
OWN = ApiKey(key_id="k", kind="account", account_id="acme", name="", digest="", created_at=datetime.now(UTC))
KEY = {"Authorization": "Bearer key"}


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    async def find(_: KeyRing, text: str) -> ApiKey | str:
        return OWN if text == "key" else "expired"

    monkeypatch.setattr(KeyRing, "find", find)
    transport = httpx.ASGITransport(create_app(NOTHING_THERE))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer old"}], ids=["no key", "an expired key"])
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
@pytest.mark.parametrize("path", [CHECK, UNBLOCK, EVENTS])
async def test_without_a_key_that_counts_nothing_is_said_of_a_body(
    client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = await client.post(path, content=body, headers={"Content-Type": "application/json", **headers})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("path", [CHECK, UNBLOCK])
async def test_without_a_key_nothing_is_read_of_a_body(client: httpx.AsyncClient, path: str) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    assert (await client.post(path, content=body())).status_code == 401
    assert read == []


@pytest.mark.parametrize("path", [CHECK, UNBLOCK])
@pytest.mark.parametrize(
    "kind", [None, "application/json", "Application/JSON; charset=utf-8", "application/vnd.postloop+json"]
)
async def test_a_body_that_is_json_or_of_which_nothing_is_said_is_read(
    client: httpx.AsyncClient, path: str, kind: str | None
) -> None:
    headers = KEY if kind is None else {**KEY, "Content-Type": kind}
    answer = await client.post(path, content=json.dumps(GOOD[path]), headers=headers)
    assert answer.status_code == 503, "it was understood, and nothing is there that could answer"


@pytest.mark.parametrize("path", [CHECK, UNBLOCK])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "json", "application/xml"]
)
async def test_a_body_that_is_said_to_be_something_else_is_refused_and_what_is_wanted_is_named(
    client: httpx.AsyncClient, path: str, kind: str
) -> None:
    answer = await client.post(path, json=GOOD[path], headers={**KEY, "Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer.json()["detail"]


async def test_events_are_read_whatever_they_are_said_to_be(client: httpx.AsyncClient) -> None:
    """`curl -d` says that they are a form."""
    headers = {**KEY, "Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post(EVENTS, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_events")


@pytest.mark.parametrize("path", [CHECK, UNBLOCK, EVENTS])
async def test_a_compressed_body_is_refused_and_what_is_taken_is_named(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = {**KEY, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await client.post(path, content=gzip.compress(b"{}"), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"
    assert "Content-Encoding" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(UNBLOCK, '{"recipient": "a@x.example", "recipient": "b@x.example", "reason": "r"}', id="plain"),
        pytest.param(UNBLOCK, '{"recipient": "a@x.example", "r\\u0065cipient": "b@x.example"}', id="escaped"),
        pytest.param(CHECK, '{"pairs": [{"recipient": "a@x.example", "recipient": "b@x.example"}]}', id="deeper"),
    ],
)  # fmt: skip
async def test_a_field_that_stands_twice_is_refused(client: httpx.AsyncClient, path: str, body: str) -> None:
    answer = await client.post(path, content=body, headers={**KEY, "Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "repeated_field")


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        pytest.param(CHECK, {"pairs": []}, "pairs: it needs at least 1", id="too few"),
        pytest.param(CHECK, {"pairs": [PAIR] * 1_001}, "pairs: it takes at most 1,000", id="too many"),
        pytest.param(UNBLOCK, {"recipient": "", "reason": "r"}, "recipient: it is too short: at least 1", id="empty"),
        pytest.param(UNBLOCK, [], "send a JSON object", id="no object"),
        pytest.param(EVENTS, {}, "1 reason why this is not published; nothing of the request was.", id="one reason"),
        pytest.param(
            EVENTS, [{}, {}], "2 reasons why this is not published; nothing of the request was.", id="two reasons"
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_in_our_words(
    client: httpx.AsyncClient, path: str, body: Any, detail: str
) -> None:
    answer = await client.post(path, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


@pytest.mark.parametrize(
    ("cursor", "detail"),
    [
        pytest.param("x x", "cursor: it holds signs that do not belong there", id="no sign of a cursor"),
        pytest.param(
            "WzEsMiwzXQ", "cursor is what next_cursor of the page before said", id="of another list"
        ),
    ],
)
async def test_a_wrong_cursor_is_named_once(client: httpx.AsyncClient, cursor: str, detail: str) -> None:
    answer = await client.get("/v1/domains", params={"cursor": cursor}, headers=KEY)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)
