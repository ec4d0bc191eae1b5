"""A provider answers 550 5.1.1 to everybody for ten minutes: what stays blocked, without the guard and with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from bench import stack
from bench.blocklist.events import mail
from bench.blocklist.throughput import PARTITIONS, READY_S, Say, load, nothing
from bench.worker import Place, Worker, running
from bench.workload import Record

OUTAGE_MINUTES: Final = 10
_BEFORE_MINUTES: Final = 60
_AFTER_MINUTES: Final = 13
_ACCOUNTS: Final = 20
_DOMAINS: Final = 40
# Truly unknown recipients, before, during and after.
_USUAL_RATE: Final = 0.01
_REFUSED_RATE: Final = 0.9
_BLOCKED: Final = "SELECT count() FROM v_blocklist_active WHERE mailbox_provider = 'gmail'"
_SETTLED_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What an outage left.

    Attributes:
        inserted: Entries that were published at any time.
        kept: Addresses that still block when it is over, of those that the outage refused.
        usual: The same of those that are really unknown, from before and after.
        detected_after_minutes: Minutes of the outage that were played until the hold began; 0: it never did.
    """

    is_guarded: bool
    refused: int
    inserted: int
    kept: int
    usual: int
    detected_after_minutes: int


def measure_outage(
    per_minute: int, directory: Path, *, minute_s: float, say: Say = nothing
) -> Iterator[Outage]:
    """Play an outage twice, each minute in `minute_s` seconds, and yield what it left: without the guard, and with it.

    Raises:
        BenchError: The worker ended, or what it read did not become entries in time.
    """
    for is_guarded in (False, True):
        place_directory = directory / ("guarded" if is_guarded else "unguarded")
        place_directory.mkdir()
        with (
            stack.broker(place_directory, partitions=PARTITIONS) as brokers,
            stack.clickhouse(place_directory) as store,
        ):
            place = Place.new(brokers, store.port, place_directory)
            with running(place, blocklist_guard="1" if is_guarded else "0") as worker:
                worker.wait_ready(timeout_s=READY_S)
                yield _play(
                    worker, brokers, store, per_minute, is_guarded=is_guarded, minute_s=minute_s, say=say
                )


def _play(
    worker: Worker,
    brokers: str,
    store: stack.Store,
    per_minute: int,
    *,
    is_guarded: bool,
    minute_s: float,
    say: Say,
) -> Outage:
    random, refused, detected = Random(1), 0, 0
    last = _BEFORE_MINUTES + OUTAGE_MINUTES + _AFTER_MINUTES
    started_at = datetime.now(UTC) - timedelta(minutes=last)
    load(
        brokers,
        [r for n in range(_BEFORE_MINUTES) for r in _minute(n, started_at, per_minute, random, "usual")],
    )
    for number in range(_BEFORE_MINUTES, last):
        until_s = time.monotonic() + minute_s
        is_out = number < _BEFORE_MINUTES + OUTAGE_MINUTES
        records = list(_minute(number, started_at, per_minute, random, "out" if is_out else "usual"))
        refused += sum(b"out-" in record.key for record in records if record.event_type == "bounce")
        load(brokers, records)
        say(number)
        time.sleep(max(0.0, until_s - time.monotonic()))
        if is_out and not detected and store.rows("SELECT count() FROM delivery_alerts")[0][0]:
            detected = number - _BEFORE_MINUTES + 1
    kept, usual = _settled(worker, store)
    return Outage(
        is_guarded=is_guarded,
        refused=refused,
        inserted=worker.inserted(),
        kept=kept,
        usual=usual,
        detected_after_minutes=detected,
    )


def _minute(
    number: int, started_at: datetime, per_minute: int, random: Random, name: str
) -> Iterator[Record]:
    """Yield the mail of one minute to Gmail: of many accounts and domains, refused at the rate of its kind."""
    for n in range(per_minute):
        is_unknown = random.random() < _USUAL_RATE
        is_refused = is_unknown or (name == "out" and random.random() < _REFUSED_RATE)
        yield mail(
            "bounce" if is_refused else "delivery",
            f"{'gone' if is_unknown else name}-{number}-{n}",
            at=started_at + timedelta(minutes=number, seconds=60 * n / per_minute),
            partitions=PARTITIONS,
            account_id=f"acc-{n % _ACCOUNTS}",
            sender_domain=f"mail{n % _DOMAINS}.example",
        )


def _settled(worker: Worker, store: stack.Store) -> tuple[int, int]:
    """Return how many refused and how many unknown addresses block, once that moves no more."""
    seen, since_s, deadline_s = (-1, -1), time.monotonic(), time.monotonic() + _SETTLED_S
    while time.monotonic() < deadline_s and time.monotonic() - since_s < 5:
        now = (
            int(store.rows(_BLOCKED + " AND startsWith(recipient, 'out-')")[0][0]),
            int(store.rows(_BLOCKED + " AND startsWith(recipient, 'gone-')")[0][0]),
        )
        if now != seen:
            seen, since_s = now, time.monotonic()
        time.sleep(0.5)
    return seen
