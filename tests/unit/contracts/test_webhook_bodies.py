"""What endpoints are told: as published, the same bytes at every attempt, and nothing that they may not know."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import postloop_schemas
from postloop.contracts.webhook import BODIES, WEBHOOK_MODELS
from postloop.contracts.webhook_sources import notice_of_event
from postloop.domain.errors import DataError
from postloop.domain.webhook.bodies import MAX_BODY_BYTES, body_of, time_text
from postloop.domain.webhook.event_types import TEST_TYPE, WEBHOOK_TYPES
from postloop.domain.webhook.notice import webhook_id
from tests.unit.contracts.webhooks import bodies, endpoint, event, notices

ADDRESS = "ann.lee@example.org"


def data(body: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(body)["data"]
    return found


def test_every_type_has_a_model_and_a_notice() -> None:
    assert list(BODIES) == [*WEBHOOK_TYPES, TEST_TYPE] == [notice.type for notice in notices()]


@pytest.mark.parametrize("recipient", ["clear", "masked", "hashed"])
@pytest.mark.parametrize("name", WEBHOOK_MODELS)
def test_a_body_is_what_its_model_says_and_says_no_more(name: str, recipient: str) -> None:
    body = bodies(recipient=recipient)[name]
    told = WEBHOOK_MODELS[name].model_validate_json(body)
    dumped, sent = told.model_dump(mode="json", exclude_unset=True), json.loads(body)
    assert dumped == sent


@pytest.mark.parametrize("name", WEBHOOK_MODELS)
def test_the_published_sample_is_what_is_sent(name: str) -> None:
    [sample, *_] = postloop_schemas.samples(name)
    assert sample.value.encode() == bodies()[name]


@pytest.mark.parametrize("name", WEBHOOK_MODELS)
def test_a_body_is_the_same_at_every_attempt_and_small(name: str) -> None:
    assert bodies()[name] == bodies()[name]
    assert len(bodies()[name]) < 20_000


@pytest.mark.parametrize("account_id", ["acme", "zeta"])
def test_an_account_is_told_its_own_name_and_never_who_else_caused_a_block(account_id: str) -> None:
    for name in ("webhook.blocklist.inserted", "webhook.blocklist.expired"):
        body = bodies(account_id=account_id)[name]
        other = {"acme": b"zeta", "zeta": b"acme"}[account_id]
        assert data(body)["account_id"] == account_id
        assert data(body)["blocked_by_others"] is True
        assert other not in body
        assert b"cause_account_ids" not in body
        assert b"z-9" not in body


def test_what_never_leaves_does_not_leave_wherever_a_source_puts_it() -> None:
    [*_, alert, _, _] = notices()
    leaking = replace(alert, data={**alert.data, "cause_account_ids": ["zeta"], "event_id": "other"})
    body = body_of(leaking, endpoint())
    assert b"zeta" not in body
    assert data(body)["event_id"] == "a-1"


@pytest.mark.parametrize("recipient", ["masked", "hashed"])
def test_an_address_that_is_not_to_be_told_is_nowhere_in_a_body(recipient: str) -> None:
    for name, body in bodies(recipient=recipient).items():
        text = body.decode().lower()
        assert ADDRESS not in text, name
        assert "ann.lee" not in text, name


@pytest.mark.parametrize("recipient", ["masked", "hashed"])
@pytest.mark.parametrize("address", ["Ann.Lee@example.org", "用户@example.org", "al@example.org"])
def test_commands_hosts_and_short_names_give_no_address_away(recipient: str, address: str) -> None:
    local = address.partition("@")[0]
    quoting = {
        "smtp_command": f"RCPT TO:<{address}>",
        "remote_host": f"mx.example.org for {address.upper()}",
        "diagnostic": f"550 5.1.1 no mailbox {local} here, normal replies follow",
    }
    notice = notice_of_event("bounce", event(**quoting, recipient=address, smtp_code=550))
    assert notice is not None
    told = data(body_of(notice, endpoint(recipient=recipient)))
    for name in quoting:
        assert local not in told[name].replace("normal", "").lower(), name
    assert "normal replies" in told["diagnostic"]


def test_an_address_is_masked_or_hashed_under_the_key_of_the_endpoint() -> None:
    masked = data(bodies(recipient="masked")["webhook.email.bounced"])
    hashed = data(bodies(recipient="hashed", hash_key="ab" * 32)["webhook.email.bounced"])
    digest = hmac.new(bytes.fromhex("ab" * 32), ADDRESS.encode(), hashlib.sha256).hexdigest()
    assert (masked["recipient"], masked["recipient_form"]) == ("a***@example.org", "masked")
    assert (hashed["recipient"], hashed["recipient_form"]) == (digest, "hmac-sha256")


def test_an_address_that_the_blocklist_hashed_stays_as_it_is() -> None:
    [_, _, _, _, _, _, inserted, *_] = notices()
    hashed = replace(inserted, recipient="f" * 64, recipient_form="hmac-sha256")
    for option in ("clear", "masked", "hashed"):
        told = data(body_of(hashed, endpoint(recipient=option)))
        assert (told["recipient"], told["recipient_form"]) == ("f" * 64, "hmac-sha256")


def test_a_bounce_is_told_with_reason_fault_and_advice() -> None:
    told = data(bodies()["webhook.email.bounced"])
    assert (told["reason"], told["fault"], told["hard"]) == ("user_unknown", "recipient", True)
    assert told["advice"]["next_step"]  # type: ignore[index]


def test_all_deferrals_of_a_message_and_recipient_are_one_event() -> None:
    first = notice_of_event("bounce", event(event_id="d1", action="delayed"))
    again = notice_of_event("bounce", event(event_id="d2", action="delayed", recipient=ADDRESS))
    other = notice_of_event("bounce", event(event_id="d3", action="delayed", message_id="m-2"))
    final = notice_of_event("bounce", event(event_id="d4"))
    assert first and again and other and final
    assert first.event_id == again.event_id != other.event_id
    assert (first.type, final.type, final.event_id) == ("email.delayed", "email.bounced", "d4")


@pytest.mark.parametrize("feedback_type", ["not-spam", "auth-failure"])
def test_what_is_no_complaint_is_not_told(feedback_type: str) -> None:
    assert notice_of_event("complaint", event(feedback_type=feedback_type)) is None


def test_a_send_is_not_told() -> None:
    assert notice_of_event("send", event()) is None


def test_long_texts_are_cut_and_a_body_has_a_limit() -> None:
    long = dict.fromkeys(("diagnostic", "remote_host", "smtp_command", "enhanced_code"), "x" * 200000)
    for notice in (
        notice_of_event("bounce", event(**long, recipient="y" * 50_000)),
        notice_of_event("delivery", event(smtp_response="x" * 400_000, remote_host="x" * 400_000)),
    ):
        assert notice is not None
        assert len(body_of(notice, endpoint())) < 20_000
    with pytest.raises(DataError, match="at most 262144 bytes"):
        body_of(replace(notice, data={"figures": "z" * MAX_BODY_BYTES}), endpoint())


def test_the_id_of_a_webhook_follows_from_event_and_endpoint() -> None:
    """Receivers remember ids: this one may never change."""
    assert webhook_id(event_id="b-1", endpoint_id="ep_1") == "msg_447e6ba6-b310-5624-8638-aeda227adf4e"
    ids = {webhook_id(event_id=e, endpoint_id=p) for e in ("a", "b") for p in ("1", "2")}
    assert len(ids) == 4


@given(at_ms=st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_are_rfc_3339_in_utc_to_the_millisecond(at_ms: int) -> None:
    text = time_text(at_ms)
    assert (len(text), text[-1]) == (24, "Z")
    assert datetime.fromisoformat(text) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
