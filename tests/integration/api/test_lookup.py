"""Messages, domains and the status over HTTP: who may see what, page by page, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.blocklist_store import BlocklistWriter, EntryRow, LogRow
from postloop.adapters.domain_health import RUNNING, document, read_health
from postloop.adapters.domain_reader import SERIES, DomainReader
from postloop.adapters.reputation_store import CurrentRow, ReputationReader, Subject
from postloop.adapters.reputation_writer import ReputationWriter
from tests.support.api import ApiServer
from tests.support.database import Database, event, migrated_database, recently

AT = recently()
NOW = datetime.now(UTC)
ANNA = "anna+news@gmail.com"


@pytest.fixture(scope="module")
def database() -> Database:
    made = migrated_database()
    rows = [
        event("delivered", AT, sender_domain="one.example", sent_at=AT - timedelta(seconds=3))
        for _ in range(150)
    ]
    rows += [
        event("human", AT + timedelta(minutes=1), sender_domain="one.example", recipient=f"o{n}@gmail.com")
        for n in range(30)
    ]
    rows += [
        event("accepted", AT, message_id="a/b c?", recipient=ANNA, sender_domain="one.example"),
        event(
            "hard_bounce", AT + timedelta(seconds=2), message_id="a/b c?", recipient=ANNA, sender_domain="one.example",
            reason="user_unknown", hard=True, fault="recipient", smtp_code=550, diagnostic="550 5.1.1 no",
        ),
        event("delivered", AT, account_id="other", sender_domain="two.example", message_id="theirs", recipient=ANNA),
        event("delivered", AT, account_id="other", sender_domain="one.example"),
    ]  # fmt: skip
    made.insert(rows)
    ReputationWriter(made.client, made.settings).write(
        [],
        [
            judged("acme", "one.example", 72.5),
            judged("acme", "worst.example", 3.25),
            judged("acme", "new.example", None),
            judged("acme", "newer.example", None),
            judged("other", "two.example", 3.25),
        ],
    )
    return made


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[ApiServer]:
    # Nothing here needs the broker.
    with ApiServer(database.settings.model_copy(update={"kafka_brokers": "127.0.0.1:1"})) as server:
        yield server


def judged(account: str, domain: str, score: float | None) -> CurrentRow:
    return CurrentRow(
        account_id=account, sender_domain=domain, mailbox_provider="", owner_hash=0, at=NOW, score=score,
        grade="unknown" if score is None else "medium", recommendation="none", outcome_count=100, complaint_rate=0.0,
        complaint_low=0.0, complaint_high=0.1, hard_bounce_rate=0.0, hard_bounce_low=0.0, hard_bounce_high=0.1,
        refusal_rate=0.0, refusal_low=0.0, refusal_high=0.1, state="{}",
    )  # fmt: skip


def test_a_message_is_found_by_any_id_and_explained(api: ApiServer) -> None:
    answer = api.as_account("acme").get("/v1/messages/a%2Fb%20c%3F")
    assert answer.status_code == 200, answer.text
    [copy] = answer.json()["recipients"]
    assert (copy["verdict"], copy["reason"], copy["side"]) == ("bounced_hard", "user_unknown", "recipient")
    assert copy["reason_text"] == "The recipient's mailbox does not exist."
    assert copy["next_steps"][0]["text"].startswith("Take the address from your list")
    assert [item["outcome"] for item in copy["timeline"]] == ["accepted", "hard_bounce"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param("line\nbreak", "line%0Abreak", id="line break"),
        pytest.param("ends\n", "ends%0A", id="line break at the end"),
        pytest.param("sl/ash", "sl%2Fash", id="slash"),
        pytest.param("sl/ash/", "sl/ash/", id="slashes as they are"),
    ],
)
def test_any_message_and_domain_that_events_name_can_be_asked_for(
    api: ApiServer, database: Database, name: str, path: str
) -> None:
    database.insert([event("delivered", AT, message_id=name, sender_domain=name)])
    message = api.as_account("acme").get(f"/v1/messages/{path}")
    domain = api.as_account("acme").get(f"/v1/domains/{path}")
    assert (message.status_code, domain.status_code) == (200, 200), (message.text, domain.text)
    assert (message.json()["message_id"], domain.json()["sender_domain"]) == (name, name)


def test_an_operator_who_names_the_account_is_told_why_others_block(
    api: ApiServer, database: Database
) -> None:
    blocked = EntryRow(
        recipient_hash=recipient_hash(ANNA), scope="global", recipient=ANNA, version=1, value="{}", is_active=True,
        entry_id="e", reason="user_unknown", cause_account_ids=("acme",), starts_at=AT, inserted_at=AT,
        expires_at=NOW + timedelta(days=13),
    )  # fmt: skip
    BlocklistWriter(database.connect()).write_entries([blocked])
    told = {}
    for who, client, params in (
        ("operator", api.as_operator(), {"account_id": "other"}),
        ("account", api.as_account("other"), {}),
    ):
        [copy] = client.get("/v1/messages/theirs", params=params).json()["recipients"]
        page = client.get("/v1/messages", params={"recipient": ANNA, **params}).json()
        assert [message["blocked"] for message in page["messages"]] == [copy["blocked"]]
        told[who] = copy["blocked"][0], " ".join(step["text"] for step in copy["next_steps"])
    (as_operator, steps), (as_account, steps_of_account) = told["operator"], told["account"]
    assert (as_operator["reason"], as_operator["has_other_causes"]) == ("user_unknown", False)
    assert "`POST /v1/blocklist/unblock`" in steps
    assert (as_account["reason"], as_account["has_other_causes"]) == (None, True)
    assert "Only the operator" in steps_of_account


def test_sentences_come_in_the_language_that_is_asked_for(api: ApiServer) -> None:
    answer = api.as_account("acme").get("/v1/messages/a%2Fb%20c%3F", params={"lang": "id"})
    assert answer.json()["recipients"][0]["verdict_text"].startswith("Email ditolak")


def test_a_recipients_messages_are_those_of_the_account_page_by_page(api: ApiServer) -> None:
    operator, asked = api.as_operator(), {"recipient": " Anna+News@Gmail.com", "limit": 1}
    first = operator.get("/v1/messages", params=asked).json()
    second = operator.get("/v1/messages", params={**asked, "cursor": first["next_cursor"]}).json()
    seen = [page["messages"][0]["message_id"] for page in (first, second)]
    assert sorted(seen) == ["a/b c?", "theirs"]
    assert second["next_cursor"] is None
    own = api.as_account("other").get("/v1/messages", params={"recipient": ANNA}).json()
    assert [message["message_id"] for message in own["messages"]] == ["theirs"]
    of_acme = operator.get("/v1/messages", params={"recipient": ANNA, "account_id": "acme"}).json()
    assert [message["account_id"] for message in of_acme["messages"]] == ["acme"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        pytest.param("/v1/messages/theirs", {}, id="message"),
        pytest.param("/v1/messages/nothing", {}, id="no message"),
        pytest.param("/v1/domains/two.example", {}, id="domain"),
        pytest.param("/v1/domains/nothing.example", {}, id="no domain"),
        pytest.param("/v1/domains/one.example", {"account_id": "other"}, id="domain of an account"),
        pytest.param("/v1/domains", {"account_id": "other"}, id="domains of an account"),
        pytest.param("/v1/messages/theirs", {"account_id": "other"}, id="message of an account"),
        pytest.param("/v1/messages", {"account_id": "other", "recipient": ANNA}, id="messages of an account"),
    ],
)
def test_what_is_another_accounts_does_not_exist(api: ApiServer, path: str, params: dict[str, str]) -> None:
    answer = api.as_account("acme").get(path, params=params)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["/v1/messages/theirs", f"/v1/messages?recipient={ANNA}", "/v1/domains", "/v1/domains/x", "/v1/status"],
)
def test_without_a_key_nothing_is_told(api: ApiServer, path: str) -> None:
    assert api.nobody.get(path).status_code == 401


@pytest.mark.parametrize(
    ("path", "params"),
    [
        pytest.param("/v1/messages", {}, id="no recipient"),
        pytest.param("/v1/messages", {"recipient": ""}, id="empty recipient"),
        pytest.param("/v1/messages", {"recipient": ANNA, "limit": 201}, id="limit too large"),
        pytest.param("/v1/messages", {"recipient": ANNA, "cursor": "x"}, id="no cursor"),
        pytest.param("/v1/domains", {"cursor": "WzEsMiwzXQ"}, id="cursor of another list"),
        pytest.param("/v1/domains", {"limit": 0}, id="limit too small"),
        pytest.param("/v1/messages/m", {"lang": "tlh"}, id="no such language"),
    ],
)
def test_a_wrong_parameter_is_named(api: ApiServer, path: str, params: dict[str, Any]) -> None:
    answer = api.as_operator().get(path, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] in ("recipient", "limit", "cursor", "lang")


def test_domains_come_the_worst_first_page_by_page_with_their_open_rate(api: ApiServer) -> None:
    caller, cursor, seen = api.as_operator(), None, []
    while True:
        page = caller.get("/v1/domains", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += page["domains"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    names = [domain["sender_domain"] for domain in seen]
    assert names == ["worst.example", "two.example", "one.example", "new.example", "newer.example"]
    assert seen[2]["open_rate"] == pytest.approx(30 / 150, abs=0.01)
    assert seen[0]["open_rate"] is None
    own = api.as_account("other").get("/v1/domains").json()["domains"]
    assert [domain["sender_domain"] for domain in own] == ["two.example"]


def test_a_domain_is_told_with_series_that_add_up(api: ApiServer) -> None:
    answer = api.as_account("acme").get("/v1/domains/one.example").json()
    [health] = answer["accounts"]
    assert (health["grade"], health["score"], health["pools"]) == ("medium", 72.5, None)
    assert health["rates"]["24h"]["hard_bounces"]["count"] == 1
    assert {name: len(points) for name, points in health["series"].items()} == {
        name: count for name, (_, count) in SERIES.items()
    }
    for points in health["series"].values():
        assert sum(point["delivered_count"] for point in points) == 150
        assert sum(point["human_open_count"] for point in points) == pytest.approx(30, abs=1)
    assert [latency["mailbox_provider"] for latency in health["delivery_time"]] == ["gmail"]


def test_a_domain_is_told_by_its_parts_as_the_command_line_tells_it(
    api: ApiServer, database: Database
) -> None:
    """The same values under the same names; only what takes longer is left out."""
    [short] = api.as_account("acme").get("/v1/domains/one.example").json()["accounts"]
    [health] = api.as_account("acme").get("/v1/domains/one.example?parts=true").json()["accounts"]
    for name in ("mailbox_providers", "ip_pools", "pools", "tencent"):
        assert short[name] is None
    reader = DomainReader(database.connect(), database.settings)
    reputation = ReputationReader(database.connect(), database.settings)
    subject = Subject("acme", "one.example")
    ((_, evidence),) = reputation.evidence_of("acme", "one.example", as_of=datetime.now(UTC) + RUNNING)
    said = document(read_health(reader, reputation, (subject, evidence, None), now=datetime.now(UTC)))
    for name in ("mailbox_providers", "ip_pools", "tencent"):
        assert health[name] == said[name]
    [provider] = health["mailbox_providers"]
    assert (provider["name"], provider["outcome_count"]) == ("gmail", 151)
    assert [(pool["name"], pool["kind"]) for pool in health["ip_pools"]] == [("pool-1", "shared")]
    assert health["ip_pools"][0]["rates"]["hard_bounces"]["rate"] == pytest.approx(1 / 151)


def test_the_parts_of_a_domain_hold_nothing_of_others_on_the_same_domain_and_pool(api: ApiServer) -> None:
    """Both accounts send from one domain over one pool."""
    told = {
        name: api.as_account(name).get("/v1/domains/one.example?parts=true").json()["accounts"]
        for name in ("acme", "other")
    }
    counts = {"acme": 151, "other": 1}
    for name, [health] in told.items():
        for part in (*health["mailbox_providers"], *health["ip_pools"]):
            assert part["outcome_count"] == counts[name]
        assert health["pools"] == []
    by_operator = api.as_operator().get("/v1/domains/one.example?parts=true").json()["accounts"]
    assert {one["account_id"]: one["ip_pools"] for one in by_operator} == {
        name: health["ip_pools"] for name, [health] in told.items()
    }


def test_an_operator_sees_a_domain_of_every_account_and_its_pools(api: ApiServer) -> None:
    answer = api.as_operator().get("/v1/domains/one.example?parts=true").json()
    assert [health["account_id"] for health in answer["accounts"]] == ["acme", "other"]
    assert answer["accounts"][0]["pools"][0]["ip_pool"] == "pool-1"


def test_the_status_is_for_operators(api: ApiServer, database: Database) -> None:
    row = LogRow(
        event_id="c1", change="expired", entry_id="e", scope="global", recipient=ANNA, recipient_form="clear",
        mailbox_provider="", reason="user_unknown", cause_account_ids=(), source_event_ids=(), smtp_text="", rule="",
        rule_version="", starts_at=NOW, inserted_at=NOW, expires_at=None, cause="unblocked", at=datetime.now(UTC),
    )  # fmt: skip
    writer = BlocklistWriter(database.connect())
    for _ in range(2):
        writer.write_log([row])
    database.insert(
        event("delivered", NOW, stored_at=datetime.now(UTC) - timedelta(seconds=15)) for _ in range(60)
    )
    refused = api.as_account("acme").get("/v1/status")
    assert (refused.status_code, refused.json()["code"]) == (403, "operators_only")
    status = api.as_operator().get("/v1/status").json()
    assert status["events"]["per_second"] > 0
    assert sum(point["per_second"] for point in status["events"]["points"]) == pytest.approx(6)
    assert [topic["topic"] for topic in status["topics"]] == [
        "email.bounce",
        "email.delivery",
        "email.open",
        "email.send",
    ]
    assert status["worst_domains"][0]["sender_domain"] == "worst.example"
    assert [(c["change"], c["cause"], c["recipient"]) for c in status["blocklist_changes"]] == [
        ("expired", "unblocked", ANNA)
    ]
