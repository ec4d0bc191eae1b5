"""The workload: one seeded stream of mail events, and the counts that every variant must end with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final, NamedTuple
from zlib import crc32

from postloop.domain.event_types import EVENT_TYPES, EventType

# Shares of the event types in per cent: nearly every message is delivered, few are opened.
MIX: Final[dict[EventType, float]] = {
    "send": 48.0,
    "delivery": 45.0,
    "bounce": 1.5,
    "complaint": 0.1,
    "open": 5.0,
    "unsubscribe": 0.4,
}
ZIPF_EXPONENT: Final = 1.1
SPAN: Final = timedelta(hours=1)
_REMEMBERED: Final = 50_000
_HOSTS: Final = {
    "gmail.com": "gmail-smtp-in.l.google.com",
    "outlook.com": "outlook-com.olc.protection.outlook.com",
    "yahoo.com": "mta5.am0.yahoodns.net",
    "icloud.com": "mx02.mail.icloud.com",
    "gmx.net": "mx01.gmx.net",
    "firm.example": "mail.firm.example",
}
_BOUNCES: Final = (
    (550, "5.1.1", "550 5.1.1 no mailbox of that name here, please check the address and try again"),
    (452, "4.2.2", "452 4.2.2 mailbox over quota, the owner must make room before it takes more mail"),
    (554, "5.7.1", "554 5.7.1 refused by local policy, see the postmaster pages of this provider"),
    (421, "4.7.0", "421 4.7.0 too many connections from your address, try again later"),
)
_AGENTS: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (via ggpht.com GoogleImageProxy)",
)


class Record(NamedTuple):
    """One record to produce. `is_valid` says whether the contract takes it."""

    event_type: EventType
    partition: int
    key: bytes
    value: bytes
    is_valid: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to generate. Two plans that are equal generate the same bytes."""

    event_count: int
    start_at: datetime
    seed: int = 1
    domain_count: int = 500
    partition_count: int = 4
    invalid_share: float = 0.001


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What ClickHouse must hold after a run; exact, whatever the variant."""

    rows: int
    dead_letters: int
    rollup_events: int
    unique_opens: int

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of two sets of events that share none."""
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    def differences(self, found: Counts) -> list[str]:
        """Return one sentence for each number of `found` that is not as it must be."""
        wanted, got = asdict(self), asdict(found)
        return [f"{name} is {got[name]}, not {wanted[name]}" for name in wanted if got[name] != wanted[name]]


NOTHING: Final = Counts(rows=0, dead_letters=0, rollup_events=0, unique_opens=0)


class Tally:
    """Counts what a stream of records must become."""

    def __init__(self) -> None:
        self.record_count = 0
        self.byte_count = 0
        self._valid_count = 0
        self._opens: set[tuple[str, str]] = set()

    def add(self, record: Record) -> None:
        """Count one record."""
        self.record_count += 1
        self.byte_count += len(record.value)
        self._valid_count += record.is_valid
        if record.is_valid and record.event_type == "open":
            event = json.loads(record.value)
            self._opens.add((event["message_id"], event["recipient"]))

    @property
    def counts(self) -> Counts:
        """What the records so far must become."""
        return Counts(
            rows=self._valid_count,
            dead_letters=self.record_count - self._valid_count,
            rollup_events=self._valid_count,
            unique_opens=len(self._opens),
        )


def generate(plan: Plan) -> Iterator[Record]:
    """Yield the records of a plan, in the order of event time."""
    rng, world = random.Random(plan.seed), _World(plan)
    kinds, mix = list(MIX), list(accumulate(MIX.values()))
    for number in range(plan.event_count):
        kind = rng.choices(kinds, cum_weights=mix)[0] if world.messages else "send"
        message = world.new_message(rng) if kind == "send" else rng.choice(world.messages)
        event: dict[str, Any] = {
            "event_id": f"{rng.getrandbits(96):024x}",
            "occurred_at": _stamp(plan.start_at + SPAN * number / plan.event_count),
            **message,
            **_OWN[kind](rng, _HOSTS[message["recipient"].partition("@")[2]]),
        }
        is_valid = rng.random() >= plan.invalid_share
        if not is_valid:
            rng.choice(_FAULTS)(event)
        key = event["recipient"].encode()
        value = json.dumps(event, separators=(",", ":")).encode()
        yield Record(kind, crc32(key) % plan.partition_count, key, value, is_valid)


class _World:
    """The messages that later events may be about."""

    def __init__(self, plan: Plan) -> None:
        self.messages: list[dict[str, Any]] = []
        self._start_at = plan.start_at
        self._domains = range(plan.domain_count)
        self._shares = list(accumulate(1 / (rank + 1) ** ZIPF_EXPONENT for rank in self._domains))

    def new_message(self, rng: random.Random) -> dict[str, Any]:
        domain = rng.choices(self._domains, cum_weights=self._shares)[0]
        message = {
            "account_id": f"acc-{domain % 97:03d}",
            "message_id": f"{rng.getrandbits(96):024x}",
            "sender_domain": f"mail{domain}.example",
            "recipient": f"user{rng.randrange(2_000_000)}@{rng.choice(list(_HOSTS))}",
            "mail_class": ("marketing", "transactional", "notification")[domain % 3],
            "ip_pool": f"pool-{domain % 4}",
            "ip_pool_kind": "shared" if domain % 4 else "dedicated",
            "sent_at": _stamp(self._start_at - timedelta(seconds=rng.randrange(60))),
            "campaign_id": f"c-{domain}-{rng.randrange(3)}",
        }
        if len(self.messages) < _REMEMBERED:
            self.messages.append(message)
        else:
            self.messages[rng.randrange(_REMEMBERED)] = message
        return message


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _ip(rng: random.Random) -> str:
    return f"192.0.2.{rng.randrange(256)}"


def _send(rng: random.Random, host: str) -> dict[str, Any]:
    return {"status": "accepted", "source_ip": _ip(rng), "tags": [f"wave-{rng.randrange(5)}"]}


def _delivery(rng: random.Random, host: str) -> dict[str, Any]:
    return {"smtp_response": "250 2.0.0 OK queued as 4Xc9", "remote_host": host, "source_ip": _ip(rng)}


def _bounce(rng: random.Random, host: str) -> dict[str, Any]:
    code, enhanced, text = rng.choice(_BOUNCES)
    return {
        "action": "failed" if code >= 500 else "delayed",
        "smtp_code": code,
        "enhanced_code": enhanced,
        "diagnostic": text,
        "smtp_command": "RCPT",
        "remote_host": host,
        "attempt": rng.randint(1, 4),
    }


def _complaint(rng: random.Random, host: str) -> dict[str, Any]:
    return {"feedback_type": "abuse", "reporting_provider": host}


def _open(rng: random.Random, host: str) -> dict[str, Any]:
    return {"user_agent": rng.choice(_AGENTS), "client_ip": _ip(rng)}


def _unsubscribe(rng: random.Random, host: str) -> dict[str, Any]:
    return {"method": rng.choice(("one_click", "link", "mailto"))}


_OWN: Final[dict[EventType, Callable[[random.Random, str], dict[str, Any]]]] = {
    "send": _send,
    "delivery": _delivery,
    "bounce": _bounce,
    "complaint": _complaint,
    "open": _open,
    "unsubscribe": _unsubscribe,
}
assert set(_OWN) == set(MIX) == set(EVENT_TYPES)


def _without_message(event: dict[str, Any]) -> None:
    del event["message_id"]


def _unknown_class(event: dict[str, Any]) -> None:
    event["mail_class"] = "newsletter"


def _without_zone(event: dict[str, Any]) -> None:
    event["occurred_at"] = event["occurred_at"].removesuffix("Z")


# Each is JSON: SQL can say what is wrong with it too, so the upper limit does the same checks.
_FAULTS: Final = (_without_message, _unknown_class, _without_zone)
