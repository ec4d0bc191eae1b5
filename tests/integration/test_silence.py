"""Feedback that stops and mail that is late, from rollups to the alert: real broker, real database, real processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.fields import milliseconds
from postloop.contracts.watch_state import silence_key
from postloop.domain.alert import Scope
from tests.support.blocklist import BlocklistStack
from tests.support.brokers import Broker
from tests.support.clocked_worker import set_clock
from tests.support.database import Row, event
from tests.support.workers import start_worker

HOUR = timedelta(hours=1)
# Every sender has so much mail an hour, and an open of each. Three silent hours are 60 expected ones: an alert.
EACH_HOUR = 20
HISTORY = timedelta(days=9)
# A turn is due every minute of the worker's clock; the alert of the hour before has to be out by then.
PERIOD_S = 60.0
QUIET, NEIGHBOUR, LATE = "quiet.example", "neighbour.example", "late.example"
CORPORATE = {"mailbox_provider": "corporate"}


class WatchedStack(BlocklistStack):
    """Workers of reputation whose clock the test sets, and one of the role that stores what they publish."""

    role = "reputation"

    def __init__(self, broker: Broker, *, directory: Path) -> None:
        super().__init__(broker, directory=directory)
        self.clock = directory / "clock"

    def set_clock(self, at: datetime) -> None:
        """Let it be this moment for the workers."""
        assert self.clock is not None
        set_clock(self.clock, at)

    def start_journal(self) -> None:
        """Start the worker that stores alerts."""
        values = {**self._values, "data_dir": self.directory / "journal"}
        log_path = self.directory / "journal.log"
        self.workers["journal"], _ = start_worker("blocklist", values, log_path=log_path)

    def wait_looked_at(self, domain: str, hour: datetime) -> None:
        """Wait until an hour of the opens of a sender domain is known and kept."""
        key = silence_key(Scope(account_id="acme", sender_domain=domain), "open")
        head_ms = milliseconds(hour)
        self.wait_rows(
            "SELECT 1 FROM delivery_watches FINAL "
            f"WHERE key = '{key}' AND JSONExtractUInt(value, 'head_ms') >= {head_ms}",
            1,
            timeout_s=PERIOD_S,
        )

    def wait_stored(self, count: int, which: str = "1") -> list[dict[str, Any]]:
        """Wait until so many alerts are shown, and return all of them."""
        query = "SELECT *, started_at AS began, ended_at AS ended"
        self.wait_rows(f"{query} FROM v_delivery_alerts WHERE {which}", count)
        return [
            {name: at.replace(tzinfo=UTC) if isinstance(at, datetime) else at for name, at in row.items()}
            for row in self.database.query(f"{query} FROM v_delivery_alerts")
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """Return what was told, each word of it once, in its order."""
        told = [json.dumps(alert, sort_keys=True) for alert in self.events("delivery.alert")]
        return [json.loads(alert) for alert in dict.fromkeys(told)]

    def wait_alerts(self, count: int) -> list[dict[str, Any]]:
        return self._wait(self.alerts, count, f"{count} alerts", PERIOD_S)


@pytest.fixture
def stack(carrier: Broker, tmp_path: Path) -> Iterator[WatchedStack]:
    with WatchedStack(carrier, directory=tmp_path) as own:
        yield own


def hours_of(kind: str, domain: str, since: datetime, until: datetime) -> list[Row]:
    """Return as many events of a kind in every hour, spread over it."""
    count = int((until - since) / HOUR * EACH_HOUR)
    return [event(kind, since + n * HOUR / EACH_HOUR, sender_domain=domain) for n in range(count)]


def deliveries(since: datetime, until: datetime, *, took: timedelta) -> list[Row]:
    """Return ten deliveries a minute that took so long, to nobody in particular."""
    common = {"sender_domain": LATE, **CORPORATE}
    count = int((until - since) / timedelta(seconds=6))
    times = [since + n * timedelta(seconds=6) for n in range(count)]
    return [event("delivered", at, sent_at=at - took, **common) for at in times]


def test_feedback_that_stops_is_one_alert_that_is_closed_when_it_returns_whatever_becomes_of_the_worker(
    stack: WatchedStack,
) -> None:
    """Opens of one sender stop for five hours, opens of another do not. Each worker has only the changelog."""
    stopped = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 9 * HOUR
    until, passed = stopped + 9 * HOUR, timedelta(minutes=16)
    for domain in (QUIET, NEIGHBOUR):
        stack.database.insert(hours_of("delivered", domain, stopped - HISTORY, until))
    stack.database.insert(hours_of("human", QUIET, stopped - HISTORY, stopped))
    stack.database.insert(hours_of("human", NEIGHBOUR, stopped - HISTORY, until))
    stack.start_journal()

    # Two silent hours could be chance.
    stack.set_clock(stopped + 2 * HOUR + passed)
    stack.start("first")
    stack.wait_looked_at(QUIET, stopped + HOUR)
    stack.workers["first"].kill_session()
    stack.start("second")
    assert stack.alerts() == []
    # The third one is over.
    stack.set_clock(stopped + 3 * HOUR + passed)
    began_s = time.monotonic()
    (alert,) = stack.wait_alerts(1)
    assert time.monotonic() - began_s < PERIOD_S
    stack.workers["second"].kill_session()
    DeliveryAlertV1.model_validate(alert)
    assert {name: alert[name] for name in ("kind", "account_id", "sender_domain", "mailbox_provider")} == {
        "kind": "silence", "account_id": "acme", "sender_domain": QUIET, "mailbox_provider": None,
    }  # fmt: skip
    assert (datetime.fromisoformat(alert["started_at"]), alert["ended_at"]) == (stopped, None)
    figures = alert["figures"]
    assert (figures["feedback"], figures["mail_count"], figures["seen_count"]) == ("open", 3 * EACH_HOUR, 0)
    assert figures["expected_count"] == pytest.approx(3 * EACH_HOUR, rel=0.2)
    (row,) = stack.wait_stored(1)
    assert (row["kind"], row["account_id"], row["sender_domain"]) == ("silence", "acme", QUIET)
    assert (row["began"], row["ended"], row["text"]) == (stopped, None, alert["text"])

    # It goes on: nothing new. Then opens are back.
    stack.set_clock(stopped + 5 * HOUR + passed)
    stack.start("third")
    stack.wait_looked_at(QUIET, stopped + 4 * HOUR)
    stack.database.insert(hours_of("human", QUIET, stopped + 5 * HOUR, until))
    stack.set_clock(stopped + 6 * HOUR + passed)
    began, ended = stack.wait_alerts(2)
    assert (began, ended["figures"]["cause"]) == (alert, "over")
    assert ended["started_at"] == alert["started_at"]
    assert datetime.fromisoformat(ended["ended_at"]) == stopped + 5 * HOUR
    stack.set_clock(stopped + 7 * HOUR + passed)
    stack.wait_looked_at(QUIET, stopped + 6 * HOUR)
    stack.wait_looked_at(NEIGHBOUR, stopped + 6 * HOUR)
    assert stack.alerts() == [began, ended]
    (row,) = stack.wait_stored(1, "ended IS NOT NULL")
    assert (row["began"], row["ended"], row["text"]) == (stopped, stopped + 5 * HOUR, ended["text"])
    assert json.loads(row["end_figures"]) == ended["figures"]


def test_late_mail_is_one_alert_that_is_closed_when_mail_is_on_time_again(stack: WatchedStack) -> None:
    """The worker is killed as soon as it told so, and the next one has only the changelog."""
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 6 * HOUR
    minutes, usual = timedelta(minutes=1), timedelta(seconds=5)
    over = began + 40 * minutes
    stack.database.insert(deliveries(began - HOUR, began, took=usual))
    stack.database.insert(deliveries(began, over, took=timedelta(hours=2)))
    stack.database.insert(deliveries(over, began + 2 * HOUR, took=usual))
    stack.start_journal()

    stack.set_clock(began)
    stack.start("first")
    stack.wait_rows("SELECT 1 FROM delivery_watches WHERE startsWith(key, 'd|')", 1)
    assert stack.alerts() == []
    stack.set_clock(over)
    (alert,) = stack.wait_alerts(1)
    stack.workers["first"].kill_session()
    DeliveryAlertV1.model_validate(alert)
    assert (alert["kind"], alert["sender_domain"], alert["mailbox_provider"]) == ("delays", LATE, None)
    assert (datetime.fromisoformat(alert["started_at"]), alert["ended_at"]) == (began, None)
    assert alert["figures"]["delayed_count"] == 400
    (row,) = stack.wait_stored(1)
    assert (row["kind"], row["began"], row["ended"]) == ("delays", began, None)

    stack.start("second")
    stack.set_clock(over + 30 * minutes)
    first, ended = stack.wait_alerts(2)
    assert (first, ended["figures"]["cause"]) == (alert, "over")
    ended_at = datetime.fromisoformat(ended["ended_at"])
    assert over <= ended_at <= over + 30 * minutes
    (row,) = stack.wait_stored(1, "ended IS NOT NULL")
    assert (row["began"], row["ended"], row["text"]) == (began, ended_at, ended["text"])
