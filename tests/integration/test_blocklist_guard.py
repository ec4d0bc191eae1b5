"""A mailbox provider refuses everybody for ten minutes: real broker, real database, two real workers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.blocklist import HARD, BlocklistStack, event
from tests.support.brokers import Broker

MINUTE = timedelta(minutes=1)
OUTAGE_FROM, OUTAGE_TO = 24, 14
"""Minutes ago."""


def mail(minutes: Iterable[int], *, per_minute: int, name: str, **fields: Any) -> list[dict[str, Any]]:
    """Return mail of six accounts with twelve domains to Gmail, so many minutes ago."""
    return [
        event(
            f"{name}-{minute}-{n}@gmail.com",
            age=minute * MINUTE - timedelta(seconds=n % 50),
            account_id=f"a{n % 6}",
            sender_domain=f"d{n % 12}.example",
            **fields,
        )
        for minute in minutes
        for n in range(per_minute)
    ]


def test_an_outage_of_ten_minutes_leaves_no_entry(carrier: Broker, tmp_path: Path) -> None:
    with BlocklistStack(carrier, directory=tmp_path, partitions=3) as stack:
        stack.start("a", ready=False)
        stack.start("b")
        before = event("gone@gmail.com", age=60 * MINUTE, **HARD)
        stack.publish("delivery", mail(range(50, OUTAGE_FROM, -1), per_minute=24, name="usual"))
        stack.publish("bounce", [before])
        stack.wait_events("blocklist.insert", 1, "gone@gmail.com")

        refused = mail(range(OUTAGE_FROM, OUTAGE_TO, -1), per_minute=36, name="out", **HARD)
        stack.publish("bounce", refused[:120])
        (began,) = stack.wait_events("delivery.alert", 1)
        assert (began["kind"], began["mailbox_provider"], began["ended_at"]) == (
            "provider_outage",
            "gmail",
            None,
        )
        stack.publish("bounce", refused[120:])
        stack.wait_rows("SELECT key FROM blocklist_guard FINAL WHERE startsWith(key, 'h|gmail|')", 240)
        stack.publish("delivery", mail(range(OUTAGE_TO, -1, -1), per_minute=24, name="calm"))
        _, ended = stack.wait_events("delivery.alert", 2)
        assert (ended["figures"]["verdict"], ended["started_at"]) == ("discard", began["started_at"])

        inserted = {e["recipient"] for e in stack.events("blocklist.insert")} - {"gone@gmail.com"}
        expired = stack.wait_events("blocklist.expire", len(inserted))
        assert {e["recipient"] for e in expired} == inserted
        assert {e["cause"] for e in expired} <= {"rolled_back"}
        assert set(stack.state()) == {"global|gone@gmail.com"}
        _kept_and_told(stack)


def _kept_and_told(stack: BlocklistStack) -> None:
    """Check the database, the commands, and that the mailbox of a person blocks again by a bounce from after."""
    ended = "SELECT * FROM v_delivery_alerts WHERE ended_at IS NOT NULL"
    (alert,) = stack.wait_rows(ended, 1)
    assert json.loads(alert["end_figures"])["hard_count"] >= 240
    assert alert["account_id"] is None

    listed = stack.command("blocklist", "incidents", "--json")
    assert [json.loads(line)["mailbox_provider"] for line in listed.stdout.splitlines()] == ["gmail"]
    asked = stack.command("blocklist", "discard-held", "gmail", "--reason", "over", "--json")
    assert (asked.returncode, json.loads(asked.stdout)["code"]) == (1, "nothing_held")

    stack.publish("bounce", [event("late@gmail.com", age=(OUTAGE_FROM - 1) * MINUTE, **HARD)])
    stack.publish("bounce", [event("after@gmail.com", **HARD)])
    stack.wait_events("blocklist.insert", 1, "after@gmail.com")
    assert stack.events("blocklist.insert", "late@gmail.com") == []
