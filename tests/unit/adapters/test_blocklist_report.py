"""What an account may see of an address on the blocklist: its own causes, and of others only that they block."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postloop.adapters.blocklist_report import advice, explanation, others_domains, seen_by
from postloop.adapters.blocklist_rows import EntryRow

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SHOP = "shop.example"


def row(**columns: Any) -> EntryRow:
    known: dict[str, Any] = {
        "recipient_hash": 1,
        "scope": SHOP,
        "recipient": "zoe@gmail.com",
        "version": 1,
        "value": "{}",
        "is_active": True,
        "entry_id": "entry-1",
        "reason": "complaint",
        "cause_account_ids": ("beta",),
        "smtp_text": "beta's words",
        "rule": "a.rule",
        "rule_version": "1",
        "source_event_ids": ("beta-event",),
        "starts_at": NOW,
        "inserted_at": NOW,
    }
    return EntryRow(**known | columns)


def test_who_sends_from_a_domain_sees_that_others_blocked_an_address_for_it_and_not_why() -> None:
    entry = seen_by(row(), "acme", owned={SHOP})
    assert entry is not None
    assert (entry["own_cause"], entry["blocked_by_others"], entry["scope"]) == (False, True, SHOP)
    assert (entry["reason"], entry["smtp_text"], entry["rule"], entry["entry_id"]) == ("", "", "", "")
    assert entry["source_event_ids"] == []
    told = f"{entry} {explanation(entry)} {advice(entry, contact='c@p.example', account='acme')}"
    assert "beta" not in told
    assert "complain" not in told
    assert "spam" not in told


def test_what_has_no_end_is_not_to_be_waited_for() -> None:
    lasting = seen_by(row(), "acme", owned={SHOP})
    ending = seen_by(row(scope="global", expires_at=NOW + timedelta(days=14)), "acme")
    assert lasting is not None and ending is not None
    assert advice(lasting, contact="c@p.example", account="acme").startswith(
        "send nothing, or ask an operator (c@"
    )
    assert advice(ending, contact="", account="acme").startswith("wait for the end, or ask an operator:")


@pytest.mark.parametrize(
    ("columns", "owned"),
    [
        pytest.param({}, set(), id="a foreign sender domain"),
        pytest.param({}, {"other.example"}, id="of which it sends from another one"),
        pytest.param({"is_active": False}, {SHOP}, id="others' past"),
        pytest.param({"is_active": False, "scope": "global"}, set(), id="others' past for everybody"),
    ],
)
def test_what_does_not_concern_an_account_is_not_there(columns: dict[str, Any], owned: set[str]) -> None:
    assert seen_by(row(**columns), "acme", owned=owned) is None


@pytest.mark.parametrize(
    ("columns", "domains"),
    [
        pytest.param({}, {SHOP}, id="others'"),
        pytest.param({"cause_account_ids": ()}, {SHOP}, id="an operator's"),
        pytest.param({"cause_account_ids": ("acme", "beta")}, set(), id="its own too"),
        pytest.param({"scope": "global"}, set(), id="everybody's"),
        pytest.param({"is_active": False}, set(), id="over"),
    ],
)
def test_it_matters_who_sends_from_a_domain_where_others_alone_block(
    columns: dict[str, Any], domains: set[str]
) -> None:
    assert others_domains([row(**columns)], "acme") == domains


def test_the_platform_sees_everything() -> None:
    entry = seen_by(row(), "")
    assert entry is not None
    assert (entry["reason"], entry["cause_account_ids"]) == ("complaint", ["beta"])


@pytest.mark.parametrize(
    ("account", "contact", "said"),
    [
        pytest.param(
            "beta",
            "c@p.example",
            "the operator of the sending platform (c@p.example) has confirmed it.",
            id="account",
        ),
        pytest.param("", "", "so does `POST /v1/blocklist/unblock` of an operator.", id="operator"),
    ],
)
@pytest.mark.parametrize("reason", ["complaint", "unsubscribe", "user_unknown", "manual"])
def test_who_asks_over_http_is_not_sent_to_a_shell(
    reason: str, account: str, contact: str, said: str
) -> None:
    entry = seen_by(row(reason=reason), account)
    assert entry is not None
    text = advice(entry, contact=contact, account=account, channel="api")
    assert "`postloop " not in text
    assert (said if reason in ("complaint", "unsubscribe") else "`POST /v1/blocklist/unblock`") in text


def test_who_asks_on_the_command_line_is_told_its_commands() -> None:
    for reason, command in (("complaint", "opt-in"), ("user_unknown", "unblock")):
        entry = seen_by(row(reason=reason), "beta")
        assert entry is not None
        assert f"`postloop blocklist {command}`" in advice(entry, contact="", account="beta")
