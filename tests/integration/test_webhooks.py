"""The webhooks role from event to verified delivery: real broker, real database, real processes, real receivers."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from postloop.client import verify_webhook
from postloop.domain.webhook.event_types import WEBHOOK_TYPES
from postloop_schemas import samples, topic_schema
from tests.support.blocklist import HARD, address, event
from tests.support.brokers import Broker
from tests.support.stack import rounds, seeded
from tests.support.webhooks import MASTER_KEY, Receiver, WebhookStack

DEFERRED = {**HARD, "action": "delayed", "smtp_code": 451, "enhanced_code": "4.7.1"}

_OTHERS: dict[str, dict[str, Any]] = {
    "complaint": {"feedback_type": "abuse"},
    "delivery": {},
    "open": {"user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "client_ip": "203.0.113.9"},
    "unsubscribe": {"method": "one_click"},
}


def _sample(name: str) -> dict[str, Any]:
    """Return a published sample of a topic, under an event id of its own."""
    value = next(one.value for one in samples(name) if one.accepted)
    return {**json.loads(value), "event_id": uuid.uuid4().hex}


@pytest.fixture(scope="module")
def running(carrier: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebhookStack]:
    """One worker for the tests that only talk to it."""
    with WebhookStack(carrier, directory=tmp_path_factory.mktemp("webhooks")) as stack:
        stack.start()
        yield stack


@pytest.fixture
def stack(broker: Broker, tmp_path: Path) -> Iterator[WebhookStack]:
    """Workers of its own for a test that stops or kills them."""
    with WebhookStack(broker, directory=tmp_path) as own:
        yield own


def account() -> str:
    """Return an account that no other test uses."""
    return f"acc-{uuid.uuid4().hex[:8]}"


def test_events_of_several_types_arrive_signed(running: WebhookStack) -> None:
    name = account()
    with Receiver() as receiver:
        made = running.add(receiver, "all", account=name)
        bounce = event(address(), account_id=name, **HARD)
        running.publish("bounce", [bounce, event(address(), account_id=name, **DEFERRED)])
        running.publish("complaint", [event(address(), account_id=name, feedback_type="abuse")])
        running.publish("delivery", [event(address(), account_id=name)])
        running.publish("bounce", [event(address(), account_id="another", **HARD)])
        now = datetime.now(UTC).isoformat()
        alert = {"event_id": uuid.uuid4().hex, "kind": "slow", "account_id": name, "sender_domain": None}
        alert |= {
            "mailbox_provider": "gmail",
            "started_at": now,
            "ended_at": None,
            "figures": {},
            "text": "slow",
        }
        running.publish_to("delivery.alert", [alert])

        arrived = receiver.wait(4)
        assert {one.document["type"] for one in arrived} == {
            "email.bounced",
            "email.delayed",
            "email.complained",
            "delivery.alert",
        }
        for one in arrived:
            one.verify(made["secret"])
            assert one.document["data"]["account_id"] == name
        (bounced,) = (one.document["data"] for one in arrived if one.document["type"] == "email.bounced")
        assert (bounced["event_id"], bounced["reason"]) == (bounce["event_id"], "user_unknown")
        time.sleep(0.5)
        assert len(receiver.arrived) == 4


def test_filters_and_the_form_of_addresses_are_kept(running: WebhookStack) -> None:
    name = account()
    with Receiver() as receiver:
        options = ("--domain", "shop.example", "--recipient", "masked")
        running.add(receiver, "email.bounced", account=name, options=options)
        other = event(address(), account_id=name, sender_domain="news.example", **HARD)
        wanted = event(address(), account_id=name, **HARD)
        running.publish("bounce", [other, wanted])

        (arrived,) = receiver.wait(1)
        data = arrived.document["data"]
        assert (data["event_id"], data["recipient"]) == (wanted["event_id"], "u***@gmail.com")


def test_a_failure_is_tried_again_under_the_same_id(running: WebhookStack) -> None:
    name = account()
    with Receiver(lambda number: 500 if number == 1 else 200) as receiver:
        made = running.add(receiver, "email.bounced", account=name)
        running.publish("bounce", [event(address(), account_id=name, **HARD)])

        first, second = receiver.wait(2)
        assert first.message_id == second.message_id and first.body == second.body
        second.verify(made["secret"])
        sql = f"SELECT * FROM v_webhook_attempts WHERE endpoint_id = '{made['endpoint_id']}' ORDER BY attempt"
        rows = running.wait_rows(sql, 2)
        assert [(row["outcome"], row["status"]) for row in rows] == [("retried", 500), ("delivered", 200)]


def test_an_endpoint_that_is_gone_is_disabled_and_others_hear_of_it(running: WebhookStack) -> None:
    name = account()
    with Receiver(lambda number: 410) as gone, Receiver() as other:
        dead = running.add(gone, "email.bounced", account=name)
        running.add(other, "webhook.endpoint_disabled", account=name)
        running.publish("bounce", [event(address(), account_id=name, **HARD)])

        (told,) = other.wait(1)
        assert told.document["data"]["endpoint_id"] == dead["endpoint_id"]
        assert told.document["data"]["cause"] == "gone"
        assert running.said("show", dead["endpoint_id"])["state"] == "disabled"
        sql = f"SELECT event_id, cause FROM v_webhook_dead WHERE endpoint_id = '{dead['endpoint_id']}'"
        assert [row["cause"] for row in running.wait_rows(sql, 1)] == ["gone"]
        # What was not delivered can be had later, under its id.
        gone.answer = lambda number: 200
        since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        refused = running.run("resend", "--endpoint", dead["endpoint_id"], "--since", since)
        assert (refused.exit_code, "resume it first" in refused.output) == (4, True)
        assert running.said("resume", dead["endpoint_id"])["state"] == "active"
        assert running.said("resend", "--endpoint", dead["endpoint_id"], "--since", since) == {
            "resent_count": 1
        }
        assert len({one.message_id for one in gone.wait(2)}) == 1


def test_an_endpoint_that_hangs_holds_up_no_other(running: WebhookStack) -> None:
    name, release = account(), threading.Event()
    with Receiver(hang=release) as hanging, Receiver() as healthy:
        running.add(hanging, "email.bounced", account=name)
        running.add(healthy, "email.bounced", account=name)
        started_s = time.monotonic()
        running.publish("bounce", [event(address(), account_id=name, **HARD) for _ in range(100)])
        healthy.wait(100, timeout_s=12)
        assert time.monotonic() - started_s < 12  # an attempt may hang for 15 s
        assert 0 < len(hanging.ids()) <= 20
        release.set()


def test_an_endpoint_is_tested_paused_resumed_rotated_and_removed_by_the_command_line(
    running: WebhookStack,
) -> None:
    name = account()
    with Receiver() as receiver:
        made = running.add(receiver, "email.bounced", account=name)
        endpoint = made["endpoint_id"]
        assert running.said("test", endpoint)["outcome"] == "delivered"
        assert receiver.arrived[-1].document["type"] == "webhook.test"

        running.said("pause", endpoint)
        assert running.run("test", endpoint).exit_code == 4
        time.sleep(1)
        running.publish("bounce", [event(address(), account_id=name, **HARD)])
        time.sleep(2)
        assert len(receiver.arrived) == 1
        rotated = running.said("rotate", endpoint)
        running.said("resume", endpoint)
        waited = receiver.wait(2)[1]
        waited.verify(made["secret"])
        waited.verify(rotated["secret"])

        event_id = waited.document["data"]["event_id"]
        assert running.said("resend", event_id, "--endpoint", endpoint) == {"resent_count": 1}
        assert receiver.wait(3)[2].message_id == waited.message_id
        sql = f"SELECT * FROM v_webhook_attempts WHERE endpoint_id = '{endpoint}'"
        running.wait_rows(sql, 3)
        assert running.run("attempts", endpoint, "--failed", "--json").stdout == ""
        assert len(running.run("attempts", endpoint, "--json").stdout.splitlines()) == 3
        assert endpoint in running.run("list", "--account", name, "--json").stdout

        running.said("remove", endpoint)
        assert running.run("show", endpoint).exit_code == 1
        assert running.run("list", "--account", name, "--json").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(("--account", "a", "--url", "https://127.0.0.1/", "--event", "all"), 4, id="loopback"),
        pytest.param(("--account", "a", "--url", "http://example.com/", "--event", "all"), 4, id="http"),
        pytest.param(("--account", "a", "--url", "https://127.1/", "--event", "all"), 2, id="spelling"),
        pytest.param(
            ("--account", "a", "--url", "https://x.example/", "--event", "email.sent"), 2, id="type"
        ),
        pytest.param(("--url", "https://x.example/", "--event", "all"), 2, id="nobody's"),
        pytest.param(
            ("--account", "a", "--url", "https://x.example/", "--event", "all", "--header", "Host: x"),
            2,
            id="header",
        ),
    ],
)
def test_what_may_not_be_an_endpoint_is_refused(
    running: WebhookStack, arguments: tuple[str, ...], code: int
) -> None:
    assert running.run("add", *arguments).exit_code == code


def test_secrets_stand_nowhere_in_clear(running: WebhookStack) -> None:
    with Receiver() as receiver:
        made = running.add(
            receiver, "all", account=account(), options=("--header", "Authorization: Bearer tok123")
        )
        secret = made["secret"].removeprefix("whsec_")
        sql = f"SELECT value FROM webhook_endpoints WHERE endpoint_id = '{made['endpoint_id']}'"
        (row,) = running.wait_rows(sql, 1)
        shown = running.run("show", made["endpoint_id"], "--json").stdout
        log = (running.directory / "webhooks-a.log").read_text()
        for text in (row["value"], shown, log, str(running.records("postloop.webhook.endpoint"))):
            assert secret not in text and "tok123" not in text


def test_every_type_of_event_reaches_those_whom_it_concerns(running: WebhookStack) -> None:
    name = account()
    with Receiver() as receiver, Receiver() as operators:
        made = running.add(receiver, "all", "email.delivered", "email.opened", account=name)
        running.add(operators, "delivery.alert", account="")
        own = {"account_id": name}
        blocked = {"cause_account_ids": [name, "somebody-else"]}
        running.publish("bounce", [event(address(), **own, **fields) for fields in (HARD, DEFERRED)])
        for kind, fields in _OTHERS.items():
            running.publish(kind, [event(address(), **own, **fields)])
        running.publish_to("blocklist.insert", [_sample("blocklist.insert") | blocked])
        running.publish_to("blocklist.expire", [_sample("blocklist.expire") | blocked])
        running.publish_to("reputation.change", [_sample("reputation.change") | own])
        running.publish_to("delivery.alert", [_sample("delivery.alert") | own])

        expected = set(WEBHOOK_TYPES) - {"webhook.endpoint_disabled"}
        arrived = receiver.until(
            lambda: {one.document["type"] for one in receiver.arrived} >= expected, "every type"
        )
        for one in arrived:
            one.verify(made["secret"])
            assert one.document["data"]["account_id"] == name
            assert b"cause_account_ids" not in one.body and b"somebody-else" not in one.body
            kind = one.document["type"]
            Draft202012Validator(topic_schema(f"webhook.{kind}")).validate(one.document)
        assert operators.wait(1)[0].document["type"] == "delivery.alert"


def test_a_batch_holds_several_events_under_one_signature(running: WebhookStack) -> None:
    name = account()
    with Receiver() as receiver:
        made = running.add(receiver, "email.bounced", account=name, options=("--batched",))
        sent = [event(address(), account_id=name, **HARD) for _ in range(300)]
        running.publish("bounce", sent)

        def told() -> set[str]:
            return {
                member["data"]["event_id"]
                for one in list(receiver.arrived)
                for member in one.document["data"]["events"]
            }

        arrived = receiver.until(lambda: len(told()) == 300, "every event")
        assert told() == {one["event_id"] for one in sent}
        assert len(arrived) < 100
        for one in arrived:
            one.verify(made["secret"])
            assert one.document["type"] == "batch"


def test_an_endpoint_gets_no_more_a_second_than_it_takes(running: WebhookStack) -> None:
    name = account()
    with Receiver() as receiver:
        running.add(receiver, "email.bounced", account=name, options=("--rate-limit", "8"))
        running.publish("bounce", [event(address(), account_id=name, **HARD) for _ in range(24)])
        started_s = time.monotonic()
        receiver.wait(24)
        assert time.monotonic() - started_s > 1.5  # 8 at once, then 8 a second


def test_hashed_addresses_are_equal_for_one_endpoint_only(running: WebhookStack) -> None:
    name, recipient = account(), address()
    with Receiver() as first, Receiver() as second:
        for receiver in (first, second):
            running.add(receiver, "email.bounced", account=name, options=("--recipient", "hashed"))
        bounce = {**HARD, "diagnostic": f"550 5.1.1 <{recipient}>: no such user"}
        running.publish("bounce", [event(recipient, account_id=name, **bounce) for _ in range(2)])
        hashes = []
        for receiver in (first, second):
            arrived = receiver.wait(2)
            assert not any(recipient.encode() in one.body for one in arrived)
            (hashed,) = {one.document["data"]["recipient"] for one in arrived}
            assert len(hashed) == 64
            hashes.append(hashed)
        assert hashes[0] != hashes[1]


def test_delivery_goes_on_while_the_database_is_away_and_the_log_catches_up(running: WebhookStack) -> None:
    name = account()
    with Receiver() as receiver:
        made = running.add(receiver, "email.bounced", account=name)
        running.database.client.command("RENAME TABLE webhook_attempts TO hidden_attempts")
        try:
            running.publish("bounce", [event(address(), account_id=name, **HARD) for _ in range(60)])
            receiver.wait(60)
            time.sleep(2)  # the log cannot be written meanwhile
        finally:
            running.database.client.command("RENAME TABLE hidden_attempts TO webhook_attempts")
        sql = f"SELECT * FROM v_webhook_attempts WHERE endpoint_id = '{made['endpoint_id']}'"
        rows = running.wait_rows(sql, 60)
        assert len(rows) == 60 and {row["outcome"] for row in rows} == {"delivered"}


def test_a_third_party_verifies_every_delivery_of_a_run_with_a_rotation_in_it(running: WebhookStack) -> None:
    name, count = account(), rounds(2_000, 10_000)
    with Receiver() as receiver:
        old = running.add(receiver, "email.bounced", account=name, options=("--concurrency", "40"))
        sent = [event(address(), account_id=name, **HARD) for _ in range(count)]
        running.publish("bounce", sent[: count // 2])
        receiver.wait(count // 4, timeout_s=90)
        new = running.said("rotate", old["endpoint_id"])
        running.publish("bounce", sent[count // 2 :])
        arrived = receiver.until(lambda: len(receiver.ids()) == count, "every delivery", timeout_s=90)
        signed = Counter(one.headers["webhook-signature"].count("v1,") for one in arrived)
        assert signed[1] >= count // 4 and signed[2] > 0 and set(signed) == {1, 2}
        for one in arrived:
            one.verify(old["secret"])  # it signs as well while the overlap lasts
            if one.headers["webhook-signature"].count("v1,") == 2:
                one.verify(new["secret"])
        assert receiver.event_ids() == {one["event_id"] for one in sent}


# -- what a worker survives ------------------------------------------------------------------------------------


def test_a_killed_worker_loses_nothing_and_repeats_under_the_same_ids(stack: WebhookStack) -> None:
    rng = seeded("webhook-kills")
    process = stack.start()
    with Receiver(lambda number: 500 if number == 1 and rng.random() < 0.2 else 204) as receiver:
        stack.add(receiver, "email.bounced")
        sent: set[str] = set()
        for _ in range(rounds(3, 20)):
            events = [event(address(), **HARD) for _ in range(150)]
            sent |= {one["event_id"] for one in events}
            stack.publish("bounce", events)
            time.sleep(rng.uniform(0.0, 1.5))
            process.kill()
            process = stack.start()
        receiver.until(lambda: receiver.event_ids() >= sent, "every event", timeout_s=90)
        ids = {(one.document["data"]["event_id"], one.message_id) for one in receiver.arrived}
        assert len(ids) == len(sent)


def test_endpoints_move_between_workers_and_nothing_is_lost_or_gets_another_id(stack: WebhookStack) -> None:
    first = stack.start()
    with Receiver() as receiver:
        names = [account() for _ in range(8)]
        for name in names:
            stack.add(receiver, "email.bounced", account=name)
        sent: set[str] = set()

        def publish() -> None:
            events = [event(address(), account_id=names[n % 8], **HARD) for n in range(160)]
            sent.update(one["event_id"] for one in events)
            stack.publish("bounce", events)

        publish()
        stack.start("b", ready=False)
        for _ in range(4):
            publish()
            time.sleep(0.5)
        first.terminate()
        publish()
        receiver.until(lambda: receiver.event_ids() >= sent, "every event", timeout_s=90)
        ids = {(one.document["data"]["event_id"], one.message_id) for one in receiver.arrived}
        assert len(ids) == len(sent)


def test_a_restart_keeps_endpoints_and_what_waits(stack: WebhookStack) -> None:
    process = stack.start()
    with Receiver(lambda number: 503) as receiver:
        stack.add(receiver, "email.bounced")
        stack.publish("bounce", [event(address(), **HARD) for _ in range(20)])
        receiver.until(lambda: len(receiver.ids()) >= 10, "first attempts")
        process.terminate()
        receiver.answer = lambda number: 204
        # Another machine: no files of the old one.
        stack.start("b")
        receiver.until(lambda: len(receiver.event_ids()) == 20, "every event", timeout_s=60)


def test_what_waits_for_an_endpoint_that_was_removed_meanwhile_is_forgotten(stack: WebhookStack) -> None:
    """Removed while no worker ran: its addresses stayed in the files and the changelog for a month."""
    process = stack.start()
    with Receiver(lambda number: 503) as receiver:
        made = stack.add(receiver, "email.bounced")
        stack.publish("bounce", [event(address(), **HARD) for _ in range(20)])
        stack.wait_metric("webhook_waiting", lambda value: value == 20)
        process.terminate()
        stack.said("remove", made["endpoint_id"])
        stack.start()
        stack.wait_metric("webhook_waiting", lambda value: value == 0, timeout_s=40)


def test_the_master_key_is_rotated_and_the_old_one_can_go(stack: WebhookStack) -> None:
    name, new_key = account(), base64.b64encode(b"n" * 32).decode()
    with Receiver() as receiver:
        options = ("--header", "Authorization: Bearer x")
        made = stack.add(receiver, "all", account=name, options=options)
        assert made["endpoint_id"] in stack.run("list").stdout  # whole in 80 columns
        stack.keyed(new_key)
        assert stack.run("reseal").exit_code == 2
        stack.keyed(new_key, MASTER_KEY)
        assert stack.said("reseal") == {"resealed_count": 1, "endpoint_count": 1}
        assert stack.said("reseal") == {"resealed_count": 0, "endpoint_count": 1}
        stack.keyed(MASTER_KEY)
        assert stack.start(ready=False).wait(timeout_s=60) == 2
        stack.keyed(new_key)
        stack.start("b")
        stack.publish("bounce", [event(address(), account_id=name, **HARD)])
        arrived = receiver.wait(1)[0]
        arrived.verify(made["secret"])
        assert arrived.headers["authorization"] == "Bearer x"


def test_an_endpoint_may_sign_with_a_key_of_which_the_receiver_has_the_public_half(
    running: WebhookStack,
) -> None:
    name = account()
    with Receiver() as receiver:
        made = running.add(receiver, "email.bounced", account=name, options=("--ed25519",))
        assert set(made) == {"endpoint_id", "public_key"}
        rotated = running.said("rotate", made["endpoint_id"])
        time.sleep(1)
        running.publish("bounce", [event(address(), account_id=name, **HARD)])
        arrived = receiver.wait(1)[0]
        for key in (made["public_key"], rotated["public_key"]):
            assert verify_webhook(arrived.headers, arrived.body, key).id == arrived.message_id
        assert "v1," not in arrived.headers["webhook-signature"]
