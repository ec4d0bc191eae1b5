"""What is handed in by HTTP: all of it is acknowledged or nothing is said to be."""

import json
from typing import Any

import pytest

from postloop.api.routes.events import MAX_BYTES, MAX_EVENTS
from tests.support.api import ApiServer
from tests.support.blocklist import HARD, BlocklistStack, address, event


def topic_values(stack: BlocklistStack, topic: str, recipient: str) -> list[dict[str, Any]]:
    return [value for key, value in stack.records(topic) if key == recipient and value is not None]


def bounce(recipient: str, **fields: Any) -> dict[str, Any]:
    return {"type": "bounce", **event(recipient, **HARD), **fields}


def test_an_event_stands_on_its_topic_as_it_was_sent_when_it_is_accepted(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = address()
    sent = bounce(recipient, own_field={"kept": [1, 2]})
    answer = api.as_account("acme").post("/v1/events", json=sent)
    assert (answer.status_code, answer.json()) == (202, {"accepted_count": 1, "by_type": {"bounce": 1}})
    assert topic_values(stack, "email.bounce", recipient) == [sent]


def test_a_batch_may_mix_types_and_a_type_may_be_said_once_for_all(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = address()
    mixed = [bounce(recipient), {"type": "email.open", **event(recipient)}, bounce(recipient)]
    answer = api.as_account("acme").post("/v1/events", json=mixed)
    assert answer.json() == {"accepted_count": 3, "by_type": {"bounce": 2, "open": 1}}
    untyped = [event(recipient), event(recipient)]
    answer = api.as_operator().post("/v1/events?type=open", json=untyped)
    assert answer.json() == {"accepted_count": 2, "by_type": {"open": 2}}
    assert len(topic_values(stack, "email.open", recipient)) == 3
    answer = api.as_operator().post("/v1/events?type=bounce", json={"type": "open", **event(recipient)})
    assert answer.json() == {"accepted_count": 1, "by_type": {"open": 1}}


def test_one_invalid_event_and_nothing_of_the_request_is_published(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = address()
    bad = bounce(recipient, occurred_at="yesterday")
    batch = [bounce(recipient), bad, bounce(recipient), [bounce(recipient)], {"type": "click"}]
    answer = api.as_account("acme").post("/v1/events", json=batch)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_events")
    found = {(error["index"], error["field"], error["code"]) for error in problem["errors"]}
    assert found == {(1, "occurred_at", "not_a_time"), (3, "", "nested_array"), (4, "type", "unknown_type")}
    assert recipient not in answer.text
    marker = address()
    assert api.as_account("acme").post("/v1/events", json=bounce(marker)).status_code == 202
    assert topic_values(stack, "email.bounce", marker)
    assert not topic_values(stack, "email.bounce", recipient)


def test_an_account_cannot_pass_for_another_by_saying_a_field_twice(
    stack: BlocklistStack, api: ApiServer
) -> None:
    recipient = address()
    for name in ('"account_id"', '"account\\u005fid"'):
        value = json.dumps(bounce(recipient, account_id="other"))[:-1] + f', {name}: "acme"}}'
        answer = api.as_account("acme").post("/v1/events", content=value)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "repeated_field")
    assert not topic_values(stack, "email.bounce", recipient)


def test_an_account_hands_in_its_own_events_only(stack: BlocklistStack, api: ApiServer) -> None:
    recipient = address()
    batch = [bounce(recipient), bounce(recipient, account_id="other")]
    answer = api.as_account("acme").post("/v1/events", json=batch)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_account")
    assert answer.json()["errors"][0]["index"] == 1
    assert not topic_values(stack, "email.bounce", recipient)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 422, id="nothing"),
        pytest.param(b"{", 422, id="torn"),
        pytest.param(b"[", 422, id="a torn array"),
        pytest.param(b"null", 422, id="null"),
        pytest.param(b"[]", 422, id="an empty array"),
        pytest.param(b"\xff\xfe", 422, id="not UTF-8"),
        pytest.param(b"[" * 100_000, 422, id="very deep"),
        pytest.param(b'{"a":' * 100_000, 422, id="very deep objects"),
        pytest.param(b"[" + b"{}," * MAX_EVENTS + b"{}]", 422, id="too many"),
        pytest.param(b" " * (MAX_BYTES + 1), 413, id="too large"),
    ],
)
def test_what_is_no_event_is_refused(api: ApiServer, body: bytes, status: int) -> None:
    answer = api.as_account("acme").post("/v1/events", content=body)
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_a_body_without_a_length_is_cut_off_at_the_limit(api: ApiServer) -> None:
    answer = api.as_account("acme").post("/v1/events", content=(b" " * 100_000 for _ in range(100)))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_request_that_is_no_json_says_so(api: ApiServer) -> None:
    for body, code in (
        (b"{torn", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'"text"', "not_an_object"),
    ):
        headers = {"Content-Type": "application/json"}
        answer = api.as_account("acme").post("/v1/blocklist/check", content=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert json.loads(answer.text)["type"] == "urn:postloop:problem:invalid_request"
