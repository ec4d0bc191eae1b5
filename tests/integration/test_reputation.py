"""The reputation role from evidence to event: real broker, real database, real processes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.reputation import ReputationChangeV1, kept_to_bytes, reputation_change, state_key
from postloop.domain.reputation import (
    DEFAULT_REPUTATION_POLICY,
    ReputationState,
    WindowCounts,
    evaluate,
    evidence_of,
)
from tests.support.blocklist import BlocklistStack
from tests.support.blocklist import event as record
from tests.support.brokers import Broker
from tests.support.database import Row, event
from tests.support.workers import start_worker

PARTITIONS = 2
TOPIC = "reputation.change"


class ReputationStack(BlocklistStack):
    """The same frame with workers of this role, who look twice a second."""

    role = "reputation"

    def changes(self, domain: str) -> list[dict[str, Any]]:
        """Return what was told of a sender domain, in order."""
        return [change for change in self.events(TOPIC) if change["sender_domain"] == domain]

    def wait_changes(self, domain: str, count: int, *, timeout_s: float = 30) -> list[dict[str, Any]]:
        return self._wait(lambda: self.changes(domain), count, f"{count} changes of {domain}", timeout_s)

    def judged(self, domain: str) -> list[dict[str, Any]]:
        """Return what is said of a sender domain now."""
        return self.database.query(f"SELECT * FROM v_domain_reputation WHERE sender_domain = '{domain}'")

    def wait_judged(self, domain: str) -> dict[str, Any]:
        return self._wait(lambda: self.judged(domain), 1, f"a verdict on {domain}", 30)[0]


@pytest.fixture(scope="module")
def running(carrier: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReputationStack]:
    """One worker for the tests that only talk to it."""
    with make(carrier, tmp_path_factory.mktemp("reputation")) as stack:
        stack.start()
        yield stack


@pytest.fixture
def stack(broker: Broker, tmp_path: Path) -> Iterator[ReputationStack]:
    """Workers of its own for a test that kills them."""
    with make(broker, tmp_path) as own:
        yield own


def make(broker: Broker, directory: Path) -> ReputationStack:
    return ReputationStack(broker, directory=directory, partitions=PARTITIONS, reputation_interval="500ms")


def mail(domain: str, **counts: int) -> list[Row]:
    """Return events of today at a provider that reports complaints, by outcome."""
    now = datetime.now(UTC)
    common = {
        "sender_domain": domain,
        "mailbox_provider": "yahoo",
        "reports_complaints": True,
        "stored_at": now,
    }
    return [
        event(kind, now - timedelta(seconds=n % 40), **common)
        for kind, count in counts.items()
        for n in range(count)
    ]


def test_fifty_complaints_in_ten_thousand_deliveries_are_bad(running: ReputationStack) -> None:
    running.database.insert(mail("ten-thousand.example", delivered=10_000, complaint=50))

    (change,) = running.wait_changes("ten-thousand.example", 1)
    assert change["before"] is None
    assert change["after"]["grade"] == "bad"
    assert change["recommendation"] == "pause"
    assert change["factors"][0]["name"] == "complaints"
    assert change["factors"][0]["rate"] == 0.005
    ReputationChangeV1.model_validate(change)
    seen = running.wait_judged("ten-thousand.example")
    assert (seen["grade"], seen["score"], seen["complaint_rate"]) == ("bad", change["after"]["score"], 0.005)
    assert seen["complaint_low"] < 0.005 < seen["complaint_high"]
    (logged,) = running.wait_rows(
        "SELECT * FROM v_reputation_changes WHERE sender_domain = 'ten-thousand.example'", 1
    )
    assert logged["event_id"] == change["event_id"]
    assert json.loads(logged["factors"]) == change["factors"]


def test_under_a_hundred_outcomes_nothing_is_said(running: ReputationStack) -> None:
    running.database.insert(mail("small.example", delivered=60, complaint=30, hard_bounce=39))

    seen = running.wait_judged("small.example")
    assert (seen["grade"], seen["score"], seen["outcome_count"]) == ("unknown", None, 99)
    assert running.changes("small.example") == []


def test_rising_complaints_are_told_within_30_s_and_a_healthy_neighbour_hears_what_is_the_pools(
    running: ReputationStack,
) -> None:
    """From the topics through the recorder: both send from one shared pool, on which nobody else sends."""
    now, pool = datetime.now(UTC), "eu-shared"

    def before(domain: str, complaints: int) -> list[Row]:
        rows = mail(domain, delivered=2_000, complaint=complaints)
        return [{**row, "occurred_at": now - timedelta(days=3), "ip_pool": pool} for row in rows]

    running.database.insert([*before("rising.example", 1), *before("healthy.example", 1)])
    assert running.wait_judged("rising.example")["grade"] == "high"
    values = {**running._values, "data_dir": running.directory / "recorder", "linger": "100ms"}
    process, _ = start_worker("recorder", values, log_path=running.directory / "recorder.log")
    running.workers["recorder"] = process
    shared = {"ip_pool": pool, "ip_pool_kind": "shared"}
    for domain, kind, count in (
        ("rising.example", "delivery", 300),
        ("healthy.example", "delivery", 300),
        ("rising.example", "complaint", 40),
    ):
        running.publish(
            kind,
            [record(f"r{n}@yahoo.com", sender_domain=domain, **shared) for n in range(count)],
        )
    stored = (
        "SELECT 1 FROM events WHERE event_type = 'complaint' AND sender_domain = 'rising.example' "
        "AND run_id != 'run'"
    )
    running.wait_rows(stored, 40, timeout_s=60)

    began_s = time.monotonic()
    changes = running.wait_changes("rising.example", 1)
    assert time.monotonic() - began_s < 30
    assert (changes[-1]["before"]["grade"], changes[-1]["after"]["grade"]) == ("high", "bad")
    assert running.changes("healthy.example") == []

    told = {}
    for domain in ("rising.example", "healthy.example"):
        answer = running.command("domain", "show", domain, "--json")
        assert answer.returncode == 0, answer.stderr
        told[domain] = json.loads(answer.stdout)
    assert told["healthy.example"]["grade"] == "high"
    # All of the change is the neighbour's own. The healthy domain hears what the pool went through, and that its own
    # part made up for all of it.
    (own,) = [one for one in told["rising.example"]["pools"] if one["measure"] == "complaint"]
    assert (own["verdict"], own["kind"], own["ip_pool"]) == ("own", "shared", pool)
    assert own["own_part"] > 0.9 * (own["after_rate"] - own["before_rate"]) > 0
    (both,) = [one for one in told["healthy.example"]["pools"] if one["measure"] == "complaint"]
    assert both["common_part"] > 0.01
    assert both["own_part"] < -0.01
    assert both["after_rate"] <= both["before_rate"]


def test_a_provider_that_complains_has_a_verdict_of_its_own(running: ReputationStack) -> None:
    rows = mail("two-providers.example", delivered=1_000, complaint=15)
    rows += [{**row, "mailbox_provider": "comcast"} for row in mail("two-providers.example", delivered=9_000)]
    running.database.insert(rows)

    changes = running.wait_changes("two-providers.example", 1)
    assert [(change["mailbox_provider"], change["after"]["grade"]) for change in changes] == [
        ("yahoo", "bad")
    ]
    running.wait_rows("SELECT 1 FROM v_domain_reputation WHERE sender_domain = 'two-providers.example'", 3)
    said = json.loads(running.command("domain", "show", "two-providers.example", "--json").stdout)
    assert {part["name"]: part["grade"] for part in said["mailbox_providers"]} == {
        "comcast": "high",
        "yahoo": "bad",
    }
    assert said["grade"] in ("high", "medium")


def test_a_pool_over_which_people_complain_has_a_verdict_that_dashboards_can_ask_for(
    running: ReputationStack,
) -> None:
    """Most mail goes over a pool without complaints; what is told is about the whole domain and its providers."""
    domain = "two-pools.example"
    rows = [{**row, "ip_pool": "eu-ill"} for row in mail(domain, delivered=1_000, complaint=15)]
    rows += [
        {**row, "ip_pool": "eu-well", "ip_pool_kind": "dedicated"} for row in mail(domain, delivered=19_000)
    ]
    running.database.insert(rows)

    seen = running.wait_rows(
        f"SELECT * FROM v_pool_reputation WHERE sender_domain = '{domain}' ORDER BY ip_pool", 2
    )
    names = ("account_id", "ip_pool", "ip_pool_kind", "grade", "outcome_count", "complaint_rate")
    assert [tuple(row[name] for name in names) for row in seen] == [
        ("acme", "eu-ill", "shared", "bad", 1_000, 0.015),
        ("acme", "eu-well", "dedicated", "high", 19_000, 0.0),
    ]
    (change,) = running.wait_rows(
        f"SELECT * FROM v_pool_reputation_changes WHERE sender_domain = '{domain}'", 1
    )
    assert (change["ip_pool"], change["before_grade"], change["after_grade"]) == ("eu-ill", None, "bad")
    assert json.loads(change["factors"])[0]["name"] == "complaints"
    said = json.loads(running.command("domain", "show", domain, "--json").stdout)
    assert {part["name"]: part["grade"] for part in said["ip_pools"]} == {"eu-ill": "bad", "eu-well": "high"}
    assert running.changes(domain) == []
    assert running.wait_judged(domain)["grade"] in ("high", "medium")


def test_a_killed_worker_repeats_nothing_with_other_words_and_misses_nothing(stack: ReputationStack) -> None:
    domains = [f"d{n}.example" for n in range(12)]
    stack.start(ready=False)
    for n, domain in enumerate(domains):
        stack.database.insert(mail(domain, delivered=3_000, complaint=60))
        if n % 4 == 3:
            stack.workers["a"].kill_session()
            stack.start(ready=False)
    for domain in domains:
        stack.wait_changes(domain, 1, timeout_s=60)
    time.sleep(2)

    told: dict[str, set[str]] = {}
    for change in stack.events(TOPIC):
        told.setdefault(change["sender_domain"], set()).add(json.dumps(change, sort_keys=True))
    assert {domain: len(words) for domain, words in told.items()} == dict.fromkeys(domains, 1)
    rows = stack.database.query("SELECT sender_domain, count() AS n FROM v_reputation_changes GROUP BY 1")
    assert {row["sender_domain"]: row["n"] for row in rows} == dict.fromkeys(domains, 1)


def test_late_mail_is_one_alert_whatever_becomes_of_the_worker(stack: ReputationStack) -> None:
    """All mail of the last minutes came late. The next worker has nothing but the changelog."""
    now = datetime.now(UTC)
    late = {"sent_at": now - timedelta(hours=1), "mailbox_provider": "gmail", "sender_domain": "late.example"}
    stack.database.insert(
        event("delivered", now - timedelta(minutes=2), **late, message_id=f"m{n}") for n in range(300)
    )
    stack.start()
    alerts = stack._wait(lambda: stack.events("delivery.alert"), 3, "three alerts", 60)
    stack.workers["a"].kill_session()
    stack.start("b")
    time.sleep(3)
    told = stack.events("delivery.alert")

    assert {alert["event_id"] for alert in told} == {alert["event_id"] for alert in alerts}
    subjects = {(a["kind"], a["account_id"], a["sender_domain"], a["mailbox_provider"]) for a in told}
    assert subjects == {
        ("delays", "acme", "late.example", None),
        ("slow", "acme", "late.example", "gmail"),
        ("slow", None, None, "gmail"),
    }
    for alert in told:
        DeliveryAlertV1.model_validate(alert)
        assert (alert["ended_at"], alert["figures"]["delayed_count"]) == (None, 300)
    assert stack.database.one("SELECT count() FROM delivery_watches FINAL") == 3


def test_what_a_worker_meant_to_tell_when_it_died_is_told_the_same(stack: ReputationStack) -> None:
    """It dies between the word in its changelog and the event: as found by the next owner."""
    domain, bad = "half-done.example", WindowCounts(delivered_count=9_000, hard_bounce_count=3_000)
    now_ms = int(time.time() * 1000) - 60_000
    state, (change,) = evaluate(ReputationState(), evidence_of(bad), DEFAULT_REPUTATION_POLICY, now_ms)
    meant = reputation_change(change, account_id="acme", sender_domain=domain, mailbox_provider=None)
    stack.database.insert(mail(domain, delivered=9_000, hard_bounce=3_000))
    changelog = f"{stack.prefix}postloop.reputation.changelog"
    producer = KafkaProducer(bootstrap_servers=stack.settings.broker_list, acks="all")
    producer.send(
        changelog,
        kept_to_bytes(state, meant),
        key=state_key("acme", domain).encode(),
        partition=recipient_hash(domain) % PARTITIONS,
    ).get(timeout=30)
    producer.close()

    stack.start()
    assert stack.wait_changes(domain, 1) == [json.loads(meant.to_bytes())]
    assert stack.wait_judged(domain)["grade"] == "bad"
    assert len(stack.changes(domain)) == 1


def test_an_empty_changelog_is_filled_from_clickhouse_and_nothing_is_told_again(
    broker: Broker, running: ReputationStack, tmp_path: Path
) -> None:
    """What `postloop up` does at every start: the broker has forgotten everything."""
    domain = f"{uuid.uuid4().hex[:8]}.example"
    running.database.insert(mail(domain, delivered=3_000, complaint=60))
    running.wait_changes(domain, 1)
    running.wait_judged(domain)
    other = ReputationStack(
        broker,
        directory=tmp_path,
        partitions=3,
        database=running.database,
        reputation_interval="500ms",
    )
    with other:
        other.start()
        running.database.insert(mail("after.example", delivered=3_000, complaint=60))
        other.wait_changes("after.example", 1)
        assert other.changes(domain) == []


def test_domain_show_and_list_tell_how_it_is_why_and_whose_change_it_is(running: ReputationStack) -> None:
    """One of two changes with the whole pool, the other by itself."""
    now = datetime.now(UTC)

    def mailing(domain: str, age: timedelta, **counts: int) -> list[Row]:
        rows = mail(domain, **counts)
        return [{**row, "occurred_at": now - age, "ip_pool": f"pool-{domain[:6]}"} for row in rows]

    quiet, busy = {"delivered": 3_000, "complaint": 3}, {"delivered": 3_000, "complaint": 60}
    for domain, neighbour in (("common.example", busy), ("by-own.example", quiet)):
        rows = mailing(domain, timedelta(days=3), **quiet) + mailing(domain, timedelta(hours=2), **busy)
        for age, counts in ((timedelta(days=3), quiet), (timedelta(hours=2), neighbour)):
            rows += [
                {
                    **row,
                    "account_id": "other",
                    "sender_domain": "other.example",
                    "ip_pool": f"pool-{domain[:6]}",
                }
                for row in mailing("n", age, **counts)
            ]
        running.database.insert(rows)
        running.wait_changes(domain, 1)
        running.wait_judged(domain)

    told = {}
    for domain in ("common.example", "by-own.example"):
        answer = running.command("domain", "show", domain, "--json")
        assert answer.returncode == 0, answer.stderr
        told[domain] = json.loads(answer.stdout)
    verdicts = {
        domain: {pool["measure"]: pool["verdict"] for pool in said["pools"]} for domain, said in told.items()
    }
    assert verdicts["common.example"]["complaint"] == "common"
    assert verdicts["by-own.example"]["complaint"] == "own"
    said = told["by-own.example"]
    assert (said["grade"], said["recommendation"], said["actions"][0]["code"]) == ("bad", "pause", "pause")
    complaints = said["rates"]["7d"]["complaints"]
    assert (complaints["count"], complaints["of_count"]) == (63, 6_000)
    assert complaints["low"] < complaints["rate"] < complaints["high"]
    page = running.command("domain", "show", "by-own.example")
    assert page.returncode == 0
    for words in ("bad", "Stop all mail", "█"):
        assert words in page.stdout
    assert running.command("domain", "show", "nobody.example").returncode == 1

    listed = running.command("domain", "list", "--json", "--limit", "1000")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    scores = [row["score"] for row in rows if row["score"] is not None]
    assert scores == sorted(scores)
    assert {"common.example", "by-own.example"} <= {row["sender_domain"] for row in rows}
