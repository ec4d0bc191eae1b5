"""The pages of sender domains: what they say, and that they fit a terminal."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from postloop.adapters.domain_health import Health, document, summary
from postloop.adapters.domain_parts import Part
from postloop.adapters.reputation_store import CurrentRow, Subject
from postloop.cli.domain_page import show, show_list
from postloop.domain.opens import OpenCounts, OpenDay
from postloop.domain.reputation import DEFAULT_REPUTATION_POLICY, WindowCounts, evidence_of, tencent_ladder

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def mail(delivered: int, complaints: int = 0, hard: int = 0) -> WindowCounts:
    return WindowCounts(
        send_count=delivered + hard,
        delivered_count=delivered,
        reporting_delivered_count=delivered,
        complaint_count=complaints,
        hard_bounce_count=hard,
    )


def health(**fields: Any) -> Health:
    values: dict[str, Any] = {
        "subject": Subject("acme", "mail.acme.example"),
        "evidence": evidence_of(mail(10_000, complaints=50)),
        "current": None,
        **dict.fromkeys(("opens", "pools", "latencies"), ()),
        "series": {},
        **fields,
    }
    return Health(**values)


def page(said: dict[str, Any], width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    show(said, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def row(domain: str, account: str) -> CurrentRow:
    rates = {
        f"{name}_{part}": 0.0123
        for name in ("complaint", "hard_bounce", "refusal")
        for part in ("rate", "low", "high")
    }
    return CurrentRow(
        account_id=account,
        sender_domain=domain,
        mailbox_provider="",
        owner_hash=1,
        at=AT,
        score=45.5,
        grade="low",
        recommendation="throttle",
        outcome_count=10_000,
        state="{}",
        **rates,  # type: ignore[arg-type]
    )


def test_names_cannot_tell_the_terminal_anything() -> None:
    hostile = "a\x1b[31m\nb\u202e.example"
    console = Console(file=StringIO(), width=120)
    show_list([summary(row(hostile, hostile))], console)
    listed = console.file.getvalue()  # type: ignore[attr-defined]
    assert listed.count("\n") == 2
    parts = [Part(hostile, evidence_of(mail(1_000))) for _ in range(2)]
    shown = page(document(health(subject=Subject(hostile, hostile), ip_pools=parts)), 120)
    for text in (listed, shown):
        assert "a [31m b .example" in text
        assert not {"\x1b", "\u202e"} & set(text)


def test_a_grade_that_is_held_is_told_from_what_the_mail_of_now_says() -> None:
    held = "held: its mail of now would be high"
    low = {"current": row("mail.acme.example", "acme")}
    assert held in page(document(health(evidence=evidence_of(mail(10_000)), **low)))
    assert "held" not in page(document(health(evidence=evidence_of(mail(10_000, complaints=50)), **low)))
    assert "held" not in page(document(health(evidence=evidence_of(mail(10)), **low)))


def test_days_that_were_not_read_are_not_shown_as_days_without_mail() -> None:
    assert "delivered" not in page(document(health(subject=Subject("", "mail.acme.example"))))


@pytest.mark.parametrize("width", [80, 100, 150, 200])
@pytest.mark.parametrize("name", ["a.example", "a-very-long-sender-domain-of-somebody.mail.example"])
def test_a_list_has_one_line_a_sender_and_none_is_wider_than_the_terminal(width: int, name: str) -> None:
    console = Console(file=StringIO(), width=width)
    show_list([summary(row(name, "acme")), summary(row("b.example", "an-account-with-a-long-name"))], console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    for words in ("low", "45.5", "1.23 %", "throttle"):
        assert words in lines[1]


def test_a_document_is_json_and_says_what_each_part_would_have() -> None:
    said = document(
        health(
            providers=[
                Part("gmail", evidence_of(mail(9_000))),
                Part("yahoo", evidence_of(mail(1_000, complaints=50))),
            ],
            ip_pools=[Part("eu-1", evidence_of(mail(10_000)), "shared")],
        )
    )
    assert json.loads(json.dumps(said)) == said
    assert [(part["name"], part["grade"]) for part in said["mailbox_providers"]] == [
        ("gmail", "high"),
        ("yahoo", "bad"),
    ]
    assert [(part["name"], part["kind"]) for part in said["ip_pools"]] == [("eu-1", "shared")]
    drawn = page(said)
    assert "gmail" in drawn
    assert "eu-1" not in drawn  # one pool says what the domain says


def test_all_accounts_together_have_no_account() -> None:
    said = document(health(subject=Subject("", "mail.acme.example")))
    assert said["account_id"] is None
    assert "mail.acme.example of all accounts" in page(said)


def test_tencents_level_comes_with_what_fails_and_how_far_it_is() -> None:
    days = [mail(500), mail(900), mail(1_000, hard=100)]
    said = document(health(tencent=tencent_ladder(days)))["tencent"]
    assert (said["level"], said["daily_cap"], said["outcome"]) == (3, 2_000, "downgrade")
    assert [condition["name"] for condition in said["failed"]] == ["invalid"]
    assert said["failed"][0]["text"] == "invalid: 9.09 %, wanted below 9 %, 1 mails fewer"


def test_a_ladder_without_a_day_says_nothing() -> None:
    assert tencent_ladder([]) is None
    assert document(health())["tencent"] is None


@pytest.mark.parametrize(("late", "verdict"), [(0.30, "steady"), (0.10, "fallen")])
def test_notifications_are_compared_with_their_own_days(late: float, verdict: str) -> None:
    first = date(2026, 1, 1)
    days = [
        OpenDay(day=first + timedelta(days=n), visible_count=1_000, human_count=round(rate * 1_000))
        for n, rate in enumerate([0.30, 0.31, 0.29] * 9 + [late] * 4)
    ]
    counts = [
        OpenCounts(mail_class=name, delivered_count=30_000, human_count=9_000, raw_count=9_000, blind_count=0)
        for name in ("notification", "marketing")  # type: ignore[misc]
    ]
    said = document(health(open_days=days, opens=counts))
    assert [opens["verdict"] for opens in said["opens"]] == [verdict, "probably_spam"]
    assert said["open_history"]["trend"] == verdict
    assert len(said["open_history"]["days"]) == 31
    assert "notifications by day of sending" in page(said)


def test_a_policy_moves_the_grade_by_counts() -> None:
    lenient = DEFAULT_REPUTATION_POLICY.__class__(
        complaints=DEFAULT_REPUTATION_POLICY.complaints.__class__(warning_rate=0.1, critical_rate=0.2)
    )
    assert document(health())["grade_by_counts"] == "bad"
    assert document(health(), policy=lenient)["grade_by_counts"] == "high"
