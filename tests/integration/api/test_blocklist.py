"""From a hard bounce to a lifted block, as the account that caused it, another one and an operator see it."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import CONTACT
from tests.support.api import ApiServer
from tests.support.blocklist import HARD, BlocklistStack, address, event
from tests.support.database import event as stored
from tests.support.processes import wait_until

WITHIN_S = 5.0


def bounced(stack: BlocklistStack, api: ApiServer, *accounts: str) -> str:
    """Return an address that is blocked because mail of these accounts bounced."""
    recipient = address()
    stack.publish("bounce", [event(recipient, account_id=account, **HARD) for account in accounts])

    def is_blocked_everywhere() -> bool:
        found = report(api.as_operator(), recipient)["entries"]
        causes = found[0]["cause_account_ids"] if found else []
        return set(causes) == set(accounts) and not allowed(api.as_operator(), recipient)

    wait_until(is_blocked_everywhere, timeout_s=20, what="the address is blocked")
    return recipient


def report(client: httpx.Client, recipient: str) -> dict[str, Any]:
    answer = client.get(f"/v1/blocklist/{recipient}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def check(client: httpx.Client, *recipients: str) -> dict[str, Any]:
    pairs = [{"sender_domain": "shop.example", "recipient": name} for name in recipients]
    answer = client.post("/v1/blocklist/check", json={"pairs": pairs})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def allowed(client: httpx.Client, recipient: str) -> bool:
    return bool(check(client, recipient)["results"][0]["allowed"])


def unblock(client: httpx.Client, recipient: str, **fields: Any) -> httpx.Response:
    return client.post("/v1/blocklist/unblock", json={"recipient": recipient, "reason": "it works", **fields})


def test_a_hard_bounce_is_explained_within_seconds_and_lifted_by_the_account_that_caused_it(
    stack: BlocklistStack, api: ApiServer
) -> None:
    began_s = time.monotonic()
    recipient = bounced(stack, api, "acme")
    assert time.monotonic() - began_s < WITHIN_S
    found = report(api.as_account("acme"), recipient.upper())
    (entry,) = found["entries"]
    assert found["blocked"]
    assert found["recipient"] == recipient
    assert entry["own_cause"] and not entry["blocked_by_others"]
    assert entry["reason"] == "user_unknown"
    assert "no such mailbox" in entry["text"]
    assert "POST /v1/blocklist/unblock" in entry["next_step"]
    assert entry["smtp_text"] == HARD["diagnostic"]
    assert "cause_account_ids" not in entry

    lifted = unblock(api.as_account("acme"), recipient)
    assert lifted.status_code == 200, lifted.text
    (expired,) = stack.wait_events("blocklist.expire", 1, recipient)
    assert lifted.json()["event_ids"] == [expired["event_id"]]
    assert (expired["cause"], expired["recipient"]) == ("unblocked", recipient)
    assert allowed(api.as_account("acme"), recipient), "the answer comes when it took effect"
    wait_until(
        lambda: not report(api.as_account("acme"), recipient)["blocked"], timeout_s=5, what="it is released"
    )


def test_another_account_learns_that_it_is_blocked_and_neither_why_nor_by_whom(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = bounced(stack, api, "acme")
    answer = api.as_account("other").get(f"/v1/blocklist/{recipient}")
    (entry,) = answer.json()["entries"]
    assert entry["blocked_by_others"] and not entry["own_cause"]
    assert (entry["reason"], entry["smtp_text"], entry["source_event_ids"]) == ("", "", [])
    assert CONTACT in entry["next_step"]
    assert "acme" not in answer.text
    assert answer.json()["history"] == []

    refused = unblock(api.as_account("other"), recipient)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (403, "caused_by_another_account")
    assert CONTACT in problem["detail"]
    assert problem["contact"] == CONTACT
    assert "acme" not in refused.text
    assert not allowed(api.as_operator(), recipient)


def test_an_operator_lifts_what_many_accounts_caused(stack: BlocklistStack, api: ApiServer) -> None:
    recipient = bounced(stack, api, "acme", "other")
    assert unblock(api.as_account("acme"), recipient).status_code == 403, "the other's cause is left"
    assert unblock(api.as_operator(), recipient).status_code == 200
    assert len(stack.wait_events("blocklist.expire", 1, recipient)) == 1
    changes = report(api.as_operator(), recipient)["history"]
    assert {change["change"] for change in changes} >= {"inserted"}


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        pytest.param({}, 404, "not_blocked", id="nobody blocked it"),
        pytest.param({"scope": "shop.example"}, 404, "not_blocked", id="nor in a scope of its own"),
        pytest.param({"recipient": "no address"}, 422, "invalid_request", id="not an address"),
        pytest.param({"reason": "  "}, 422, "invalid_request", id="no reason"),
        pytest.param({"force": True}, 422, "invalid_request", id="an unknown field"),
    ],
)
def test_what_cannot_be_lifted_is_said(
    api: ApiServer, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = unblock(api.as_account("acme"), fields.pop("recipient", address()), **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("name", ["check", "unblock"])
def test_what_is_posted_cannot_be_got(api: ApiServer, name: str) -> None:
    answer = api.as_account("acme").get(f"/v1/blocklist/{name}")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_check_looks_up_and_says_nothing_of_what_is_no_address(api: ApiServer) -> None:
    assert check(api.as_account("acme"), "no address") == {
        "results": [{"allowed": True, "scope": None, "expires_at": None}],
        "blocked_count": 0,
    }


def test_consent_is_not_taken_back_by_an_unblock(stack: BlocklistStack, api: ApiServer) -> None:
    recipient = address()
    stack.publish("complaint", [event(recipient, feedback_type="abuse")])
    wait_until(lambda: not allowed(api.as_operator(), recipient), timeout_s=20, what="it is blocked")
    refused = unblock(api.as_account("acme"), recipient, scope="shop.example")
    assert (refused.status_code, refused.json()["code"]) == (403, "needs_opt_in")
    foreign = unblock(api.as_account("other"), recipient, scope="shop.example")
    assert foreign.status_code == 404, "another account's sender domain does not exist for it"
    assert not report(api.as_account("other"), recipient)["blocked"]


def test_who_sends_from_the_same_domain_learns_that_others_blocked_an_address_for_it(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = address()
    stack.database.insert(
        [stored("delivered", datetime.now(UTC), account_id="neighbour", sender_domain="shop.example")]
    )
    stack.publish("complaint", [event(recipient, feedback_type="abuse")])
    neighbour = api.as_account("neighbour")
    wait_until(lambda: report(neighbour, recipient)["blocked"], timeout_s=20, what="it is blocked")
    (entry,) = report(neighbour, recipient)["entries"]
    assert (entry["scope"], entry["own_cause"], entry["blocked_by_others"]) == ("shop.example", False, True)
    assert (entry["reason"], entry["source_event_ids"]) == ("", [])
    assert CONTACT in entry["next_step"]
    refused = unblock(neighbour, recipient, scope="shop.example")
    assert (refused.status_code, refused.json()["code"]) == (403, "caused_by_another_account")
    assert refused.json()["contact"] == CONTACT
    assert not allowed(api.as_operator(), recipient)


def test_many_pairs_are_answered_in_their_order_and_only_an_operator_hears_why(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = bounced(stack, api, "acme")
    names = [address() for _ in range(499)]
    answer = check(api.as_account("other"), *names, recipient, *names)
    assert answer["blocked_count"] == 1
    assert [place for place, one in enumerate(answer["results"]) if not one["allowed"]] == [499]
    assert "reason" not in answer["results"][499]
    assert check(api.as_operator(), recipient)["results"][0]["reason"] == "user_unknown"


async def test_a_hundred_unblocks_of_one_entry_have_one_effect(stack: BlocklistStack, api: ApiServer) -> None:
    recipient = await asyncio.to_thread(bounced, stack, api, "acme")
    key = api.make_key("acme").text
    async with httpx.AsyncClient(
        base_url=api.url,
        timeout=30,
        headers={"Authorization": f"Bearer {key}"},
        limits=httpx.Limits(max_connections=100),
    ) as client:
        body = {"recipient": recipient, "reason": "it works"}
        answers = await asyncio.gather(*(client.post("/v1/blocklist/unblock", json=body) for _ in range(100)))
    outcomes = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert set(outcomes) <= {(200, "unblocked"), (404, "not_blocked")}
    assert (200, "unblocked") in outcomes
    await asyncio.to_thread(stack.wait_events, "blocklist.expire", 1, recipient)
    assert len(await asyncio.to_thread(stack.events, "blocklist.expire", recipient)) == 1
