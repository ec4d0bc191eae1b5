"""Every route, asked with another account's key for what is not its own: nothing of it comes out.

The table names every route: one that is added without a line here fails the first test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from postloop.api.application import create_app
from postloop.settings import Settings
from tests.support import database
from tests.support.api import ApiServer
from tests.support.blocklist import HARD, BlocklistStack, address, event
from tests.support.processes import wait_until

OWNER, STRANGER = "owner-account-7f", "stranger"
DOMAIN = "owner-domain.example"
# Words that stand in the owner's data and nowhere else.
SECRETS = (OWNER, "owner-reply-text", "owner-message", "owner-campaign")


@dataclass(frozen=True)
class Ask:
    """How a stranger asks a route for the owner's data, and the statuses that may come."""

    statuses: frozenset[int]
    path: Callable[[str], str]
    body: Callable[[str], Any] | None = None
    query: dict[str, str] = field(default_factory=dict)


def ask(*statuses: int, path: str, body: Callable[[str], Any] | None = None, **query: str) -> Ask:
    return Ask(frozenset(statuses), lambda recipient: path.format(recipient=recipient), body, query)


# (method, path as declared) -> how it is asked. `open`: it needs no key and tells nothing of any account.
ASKED: dict[tuple[str, str], Ask] = {
    # Its addresses are nobody's own: it may say that an address is blocked, and nothing else.
    ("GET", "/v1/blocklist/{recipient:text}"): ask(200, path="/v1/blocklist/{recipient}"),
    ("POST", "/v1/blocklist/check"): ask(
        200,
        path="/v1/blocklist/check",
        body=lambda recipient: {"pairs": [{"sender_domain": DOMAIN, "recipient": recipient}]},
    ),
    ("POST", "/v1/blocklist/unblock"): ask(
        403,
        404,
        path="/v1/blocklist/unblock",
        body=lambda recipient: {"recipient": recipient, "reason": "try"},
    ),
    ("GET", "/v1/messages"): ask(200, path="/v1/messages", recipient="{recipient}"),
    ("GET", "/v1/messages/{message_id:text}"): ask(404, path="/v1/messages/owner-message-{recipient}"),
    ("GET", "/v1/domains"): ask(200, path="/v1/domains"),
    ("GET", "/v1/domains/{sender_domain:text}"): ask(404, path=f"/v1/domains/{DOMAIN}"),
    ("GET", "/v1/status"): ask(403, path="/v1/status"),
    ("POST", "/v1/events"): ask(
        403, path="/v1/events", body=lambda recipient: {"type": "bounce", **owned(recipient)}
    ),
}
OPEN = {
    ("GET", path)
    for path in (
        "/health",
        "/ready",
        "/metrics",
        "/health/api",
        "/ready/api",
        "/metrics/api",
        "/openapi.json",
        "/",
        "/docs",
    )
}


def declared(router: Any) -> Iterator[Any]:
    """Yield the routes of an application or a router, those of included routers too."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from declared(included)


def routes() -> set[tuple[str, str]]:
    app = create_app(Settings())
    return {(method, route.path) for route in declared(app) for method in route.methods - {"HEAD"}}


def owned(recipient: str) -> dict[str, Any]:
    reply = {**HARD, "diagnostic": "550 5.1.1 no such user owner-reply-text"}
    own = {"account_id": OWNER, "sender_domain": DOMAIN, "campaign_id": "owner-campaign"}
    return event(recipient, **{**own, **reply, "message_id": f"owner-message-{recipient}"})


def stored(recipient: str) -> dict[str, Any]:
    """Return the same event as the recorder stores it."""
    names = (
        "event_id",
        "account_id",
        "sender_domain",
        "message_id",
        "recipient",
        "campaign_id",
        "diagnostic",
    )
    own = {name: value for name, value in owned(recipient).items() if name in names}
    return database.event("hard_bounce", datetime.now(UTC), reason="user_unknown", hard=True, **own)


@pytest.fixture(scope="module")
def recipient(stack: BlocklistStack, api: ApiServer) -> str:
    """An address that the owner's mail blocked."""
    name = address()
    stack.publish("bounce", [owned(name)])
    stack.database.insert([stored(name)])

    def is_known() -> bool:
        found: dict[str, Any] = api.as_account(OWNER).get(f"/v1/blocklist/{name}").json()
        return bool(found["blocked"])

    wait_until(is_known, timeout_s=20, what="the owner's block is known")
    return name


def test_every_route_is_in_the_table() -> None:
    assert routes() == set(ASKED) | OPEN


def test_every_route_that_is_not_open_needs_a_key() -> None:
    app = create_app(Settings())
    document = app.openapi()
    for route in declared(app):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods:
                operation = document["paths"][route.path_format][method.lower()]
                assert bool(operation.get("security")) is ((method, route.path) not in OPEN), route.path


@pytest.mark.parametrize("route", sorted(ASKED), ids=lambda route: " ".join(route))
def test_a_stranger_gets_nothing_of_the_owner(api: ApiServer, recipient: str, route: tuple[str, str]) -> None:
    answer = sent(api.as_account(STRANGER), route, recipient)
    assert answer.status_code in ASKED[route].statuses, answer.text
    assert not [secret for secret in SECRETS if secret in answer.text.replace(recipient, "")]


@pytest.mark.parametrize("route", sorted(ASKED), ids=lambda route: " ".join(route))
def test_without_a_key_there_is_nothing_for_anybody(
    api: ApiServer, recipient: str, route: tuple[str, str]
) -> None:
    assert sent(api.nobody, route, recipient).status_code == 401


@pytest.mark.parametrize("body", [b"not json", b"\xff", b"[" * 100_000, b" " * 900_000], ids=range(4))
@pytest.mark.parametrize("route", sorted(ASKED), ids=lambda route: " ".join(route))
def test_without_a_key_nothing_is_said_of_a_body_either(
    api: ApiServer, recipient: str, route: tuple[str, str], body: bytes
) -> None:
    answer = sent(api.nobody, route, recipient, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize("route", sorted(route for route in ASKED if route[0] == "GET"), ids=" ".join)
def test_head_needs_a_key_too(api: ApiServer, recipient: str, route: tuple[str, str]) -> None:
    assert api.nobody.head(ASKED[route].path(recipient)).status_code == 401


def sent(client: httpx.Client, route: tuple[str, str], recipient: str, **other: Any) -> httpx.Response:
    """Ask a route, with another body where one is given."""
    wanted = ASKED[route]
    body = None if wanted.body is None or "content" in other else wanted.body(recipient)
    query = {name: text.format(recipient=recipient) for name, text in wanted.query.items()}
    return client.request(route[0], wanted.path(recipient), json=body, params=query, **other)
