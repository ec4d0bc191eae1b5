"""A slow second count of a simulation, made from the bytes that it wrote and from nothing else."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from postloop.domain.bounce import Bounce, Verdict, classify
from postloop.simulation.generator import Record, Simulation
from postloop.simulation.mailboxes import MAILBOXES
from postloop.simulation.plan import Plan

START_MS = 1_795_450_000_000
HOUR_MS = 3_600_000

_PROVIDER_OF = {domain: box.provider for box in MAILBOXES for domain in box.domains if "." in domain}
_REPORTING = {box.provider for box in MAILBOXES if box.reports}


def plan(**options: Any) -> Plan:
    """Return a plan of a simulation at a fixed time."""
    return Plan(**{"events": 3000, "seed": 1, "start_ms": START_MS, "span_ms": HOUR_MS, **options})


def run(**options: Any) -> tuple[Simulation, list[Record]]:
    """Return a simulation and all its records."""
    simulation = Simulation(plan(**options))
    return simulation, list(simulation.records())


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def provider(recipient: str) -> str:
    domain = recipient.rpartition("@")[2].lower()
    if domain in _PROVIDER_OF:
        return _PROVIDER_OF[domain]
    return "corporate" if domain.endswith(".example") else "other"


def is_human(event: dict[str, Any]) -> bool:
    agent = event.get("user_agent", "")
    if "ImageProxy" in agent or "MailProxy" in agent:
        sent_at = event.get("sent_at")
        return sent_at is None or ms(event["occurred_at"]) - ms(sent_at) >= 2000
    scanners = ("Barracuda", "python-requests", "MimecastLinkScanner", "HeadlessChrome")
    return agent != "Mozilla/5.0" and not any(name in agent for name in scanners)


def verdict_of(event: dict[str, Any]) -> Verdict:
    names = ("smtp_code", "enhanced_code", "diagnostic", "remote_host", "smtp_command", "action")
    known = {name: event[name] for name in names if name in event}
    return classify(Bounce(**known, recipient_domain=event["recipient"].rpartition("@")[2].lower()))


def columns_of(kind: str, event: dict[str, Any]) -> list[str]:
    if kind == "send":
        if event["status"] == "accepted":
            return ["send_count"]
        stopped = event["error_code"] == "blocklisted"
        return ["send_count", "suppressed_count" if stopped else "rejected_count"]
    if kind == "delivery":
        return ["delivered_count"] + ["reporting_delivered_count"] * (
            provider(event["recipient"]) in _REPORTING
        )
    if kind == "bounce":
        if event.get("action", "failed") == "delayed":
            return ["deferral_count"]
        verdict = verdict_of(event)
        names = ["hard_bounce_count" if verdict.hard else "soft_bounce_count"]
        return names + ["refusal_count"] * (verdict.fault == "sender")
    if kind == "complaint":
        return [] if event["feedback_type"] == "not-spam" else ["complaint_count"]
    return [f"{kind}_count" if kind == "open" else "unsubscribe_count"]


@dataclass
class Recount:
    events: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    repeats: int = 0
    by_minute: Counter[Any] = field(default_factory=Counter)
    by_campaign: Counter[Any] = field(default_factory=Counter)
    bounces: Counter[Any] = field(default_factory=Counter)
    latencies_ms: dict[Any, list[int]] = field(default_factory=lambda: defaultdict(list))
    openers: dict[Any, set[Any]] = field(default_factory=lambda: defaultdict(set))
    human_openers: dict[Any, set[Any]] = field(default_factory=lambda: defaultdict(set))

    def take(self, kind: str, event: dict[str, Any]) -> None:
        if self.events.setdefault((kind, event["event_id"]), event) is not event:
            self.repeats += 1
            return
        at_ms = ms(event["occurred_at"])
        account = (event["account_id"], event["sender_domain"])
        place = (
            *account,
            provider(event["recipient"]),
            event.get("ip_pool", ""),
            event.get("ip_pool_kind", "unknown"),
            event.get("mail_class", "unknown"),
        )
        campaign = (*account, event.get("campaign_id", ""), event.get("template_id", ""))
        for column in columns_of(kind, event):
            self.by_minute[at_ms // 60_000 * 60, place, column] += 1
            if any(campaign[2:]):
                self.by_campaign[at_ms // HOUR_MS * 3600, campaign, column] += 1
        if kind == "bounce" and event.get("action") != "delayed":
            verdict = verdict_of(event)
            group = (*place[:3], verdict.reason, str(verdict.hard).lower(), verdict.fault)
            self.bounces[at_ms // 60_000 * 60, group, "bounce_count"] += 1
        if kind == "delivery" and "sent_at" in event:
            self.latencies_ms[place[:3]].append(at_ms - ms(event["sent_at"]))
        if kind == "open":
            copy = (event["message_id"], event["recipient"].lower())
            self.openers[place].add(copy)
            if is_human(event):
                self.human_openers[place].add(copy)


def recount(records: list[Record], prefix: str) -> Recount:
    """Return the count of all valid events; what does not parse or bears no regular id is not looked at."""
    counted = Recount()
    for record in records:
        try:
            value = json.loads(record.value or b"")
        except ValueError:
            continue
        for event in value if isinstance(value, list) else [value]:
            if isinstance(event, dict) and is_regular(event.get("event_id"), prefix):
                counted.take(record.event_type, event)
    return counted


def is_regular(event_id: Any, prefix: str) -> bool:
    digits = event_id[len(prefix) :] if isinstance(event_id, str) and event_id.startswith(prefix) else ""
    return len(digits) == 8 and all(digit in "0123456789abcdef" for digit in digits)
