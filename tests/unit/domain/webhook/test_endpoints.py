"""Endpoints: what is accepted, how they change, and which events they hear of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.webhook.endpoint import DAY_MS, RECOVERY_MS, Endpoint, Filters, Header, Secret
from postloop.domain.webhook.event_types import ALL, NOT_IN_ALL, OPERATOR_TYPES, WEBHOOK_TYPES, wanted_types
from postloop.domain.webhook.matching import Directory, passes
from postloop.domain.webhook.notice import Notice
from postloop.domain.webhook.transitions import (
    EDITABLE,
    MAX_OLD_SECRETS,
    TRANSITIONS,
    Action,
    disposal,
    edited,
    moved,
    rotated,
)
from postloop.domain.webhook.validation import check_endpoint

NOW = 1_795_435_140_000


def endpoint(**fields: Any) -> Endpoint:
    made = Endpoint(
        endpoint_id="ep_1",
        account_id="acme",
        url="https://hooks.acme.example/mail?x=1",
        event_types=frozenset({ALL}),
        secrets=(Secret(value="first"),),
        hash_key="00" * 32,
        created_ms=NOW,
        state_ms=NOW,
    )
    return replace(made, **fields)


def notice(**fields: Any) -> Notice:
    return Notice(
        **{"type": "email.bounced", "event_id": "e", "occurred_ms": NOW, "account_ids": ("acme",), **fields}
    )


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="as it comes"),
        pytest.param({"headers": (Header(name="Authorization", value="Basic YTpi"),)}, id="authorization"),
        pytest.param({"account_id": None, "event_types": OPERATOR_TYPES}, id="an operator's"),
        pytest.param({"account_id": None}, id="an operator's for all"),
        pytest.param({"url": "http://10.0.0.7:8080/"}, id="where it leads is judged elsewhere"),
        pytest.param({"allowed_networks": ("10.0.0.0/8", "fd00::/8")}, id="private networks"),
    ],
)
def test_a_well_formed_endpoint_is_accepted(fields: dict[str, Any]) -> None:
    check_endpoint(endpoint(**fields))


def header(name: str, value: str = "v") -> dict[str, Any]:
    return {"headers": (Header(name=name, value=value),)}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"url": "ftp://a.example/"}, "url", id="another scheme"),
        pytest.param({"url": "https:///path"}, "url", id="no host"),
        pytest.param({"url": "https://a.example:port/"}, "url", id="no port"),
        pytest.param({"url": "https://user:pw@a.example/"}, "url", id="user name"),
        pytest.param({"url": "https://a.example/a b"}, "url", id="blank"),
        pytest.param({"url": "https://a.example/\r\nX: 1"}, "url", id="line end"),
        pytest.param({"url": "https://a.example/" + "x" * 2048}, "url", id="too long"),
        pytest.param({"event_types": frozenset()}, "event_types", id="no type"),
        pytest.param({"event_types": frozenset({"email.clicked"})}, "event_types", id="unknown type"),
        pytest.param({"account_id": None, "event_types": {"email.bounced"}}, "event_types", id="operator and mail"),
        pytest.param({"filters": Filters(mail_classes=frozenset({"spam"}))}, "mail_classes", id="mail class"),
        pytest.param({"filters": Filters(sender_domains=frozenset({""}))}, "sender_domains", id="empty domain"),
        pytest.param(
            {"filters": Filters(final_failures_only=True), "event_types": {"email.delayed"}},
            "final_failures_only",
            id="asks for what it leaves out",
        ),
        pytest.param(header("Host"), "headers", id="host"),
        pytest.param(header("content-LENGTH"), "headers", id="length"),
        pytest.param(header("Transfer-Encoding"), "headers", id="hop by hop"),
        pytest.param(header("Webhook-Signature"), "headers", id="ours"),
        pytest.param(header("X-A", "a\r\nHost: b"), "headers", id="a second header in the value"),
        pytest.param(header("X-A\r\nB", "a"), "headers", id="a second header in the name"),
        pytest.param(header("X-A", "ä"), "headers", id="beyond ASCII"),
        pytest.param(header("X-A", ""), "headers", id="empty value"),
        pytest.param({"headers": (Header(name="A", value="1"), Header(name="a", value="2"))}, "headers", id="twice"),
        pytest.param({"headers": tuple(Header(name=f"X-{n}", value="1") for n in range(21))}, "headers", id="many"),
        pytest.param({"rate_limit_per_s": -1.0}, "rate_limit_per_s", id="negative rate"),
        pytest.param({"rate_limit_per_s": float("nan")}, "rate_limit_per_s", id="no rate"),
        pytest.param({"concurrency": 0}, "concurrency", id="no attempt at a time"),
        pytest.param({"concurrency": 101}, "concurrency", id="too many at a time"),
        pytest.param({"recipient": "rot13"}, "recipient", id="unknown form"),
        pytest.param({"allowed_networks": ("10.0.0.1/8",)}, "allowed_networks", id="host bits"),
    ],
)  # fmt: skip
def test_an_unfit_endpoint_is_refused_by_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as caught:
        check_endpoint(endpoint(**fields))
    assert caught.value.field == field
    assert all(h.value not in str(caught.value) for h in fields.get("headers", ()) if len(h.value) > 1)


def test_all_means_every_type_but_those_of_every_message() -> None:
    assert wanted_types({ALL}) == set(WEBHOOK_TYPES) - {"email.delivered", "email.opened"}
    assert wanted_types({ALL, "email.opened"}) == set(WEBHOOK_TYPES) - {"email.delivered"}
    assert wanted_types({"email.delivered"}) == {"email.delivered"}


actions = st.sampled_from(["pause", "resume", "disable"])


@given(steps=st.lists(actions, max_size=6))
def test_actions_follow_the_table_and_repeat_without_effect(steps: list[Action]) -> None:
    now = endpoint()
    for step in steps:
        if (now.state, step) not in TRANSITIONS:
            with pytest.raises(DataError, match="cannot be told to"):
                moved(now, step, now_ms=NOW)
            continue
        after = moved(now, step, now_ms=NOW + 1, cause="gone")
        assert after.state == TRANSITIONS[now.state, step]
        assert (after is now) == (after.state == now.state)
        assert after.version == now.version + (after is not now)
        assert bool(after.cause) == (after.state == "disabled")
        assert moved(after, step, now_ms=NOW + 2) is after
        now = after


@given(overlaps=st.lists(st.integers(0, 7 * DAY_MS), max_size=8), step_ms=st.integers(0, 2 * DAY_MS))
def test_a_rotation_signs_with_the_new_secret_first_and_with_the_old_ones_until_their_overlap_ends(
    overlaps: list[int], step_ms: int
) -> None:
    now, at_ms, ends = endpoint(), NOW, {"first": None}
    for number, overlap_ms in enumerate(overlaps):
        now = rotated(now, f"s{number}", now_ms=at_ms, overlap_ms=overlap_ms)
        until_ms = at_ms + overlap_ms
        ends = {name: until_ms if end is None else min(end, until_ms) for name, end in ends.items()}
        ends[f"s{number}"] = None
        signing = now.signing_secrets(now_ms=at_ms)
        assert signing[0] == f"s{number}"
        assert set(signing) == {name for name, end in ends.items() if end is None or end > at_ms}
        at_ms += step_ms


def test_the_old_secret_signs_for_a_day_by_default() -> None:
    now = rotated(endpoint(), "second", now_ms=NOW)
    assert now.signing_secrets(now_ms=NOW + DAY_MS - 1) == ("second", "first")
    assert now.signing_secrets(now_ms=NOW + DAY_MS) == ("second",)


def test_an_eleventh_old_secret_is_refused_and_an_overlap_of_nothing_helps() -> None:
    now = endpoint()
    for number in range(MAX_OLD_SECRETS):
        now = rotated(now, f"s{number}", now_ms=NOW)
    with pytest.raises(DataError, match="10 old secrets are still valid"):
        rotated(now, "one more", now_ms=NOW)
    assert rotated(now, "one more", now_ms=NOW, overlap_ms=0).signing_secrets(now_ms=NOW) == ("one more",)


@pytest.mark.parametrize("overlap_ms", [-1, 7 * DAY_MS + 1])
def test_an_overlap_beyond_its_bounds_is_refused(overlap_ms: int) -> None:
    with pytest.raises(DataError, match="from 0 to 7 days"):
        rotated(endpoint(), "second", now_ms=NOW, overlap_ms=overlap_ms)


def test_a_secret_does_not_come_back() -> None:
    with pytest.raises(DataError, match="one of the old ones"):
        rotated(endpoint(), "first", now_ms=NOW)


def test_an_edit_is_checked_and_cannot_change_what_has_ways_of_its_own() -> None:
    before = endpoint()
    assert edited(before, url=before.url) is before
    assert edited(before, concurrency=3).version == before.version + 1
    with pytest.raises(DataError, match="concurrency"):
        edited(before, concurrency=0)
    for name in set(Endpoint.__dataclass_fields__) - EDITABLE:
        with pytest.raises(DataError, match="cannot be edited"):
            edited(before, **{name: None})


@pytest.mark.parametrize(
    ("state", "age_ms", "expected"),
    [
        ("active", RECOVERY_MS * 2, "send"),
        ("paused", RECOVERY_MS * 2, "hold"),
        ("disabled", RECOVERY_MS - 1, "keep"),
        ("disabled", RECOVERY_MS, "drop"),
    ],
)
def test_events_wait_for_a_paused_endpoint_and_are_kept_for_one_that_was_disabled_lately(
    state: Any, age_ms: int, expected: str
) -> None:
    assert disposal(endpoint(state=state), now_ms=NOW + age_ms) == expected


def all_endpoints() -> list[Endpoint]:
    owners = [("ep_a", "acme"), ("ep_z", "zeta"), ("ep_o", None)]
    everything = frozenset({ALL, *NOT_IN_ALL})
    return [
        endpoint(endpoint_id=name, account_id=account, event_types=everything) for name, account in owners
    ]


@pytest.mark.parametrize("kind", WEBHOOK_TYPES)
@pytest.mark.parametrize(
    ("accounts", "expected"),
    [(("acme",), {"ep_a"}), (("zeta", "acme"), {"ep_a", "ep_z"}), (("other",), set()), ((), set())],
    ids=["one account", "several causes", "an account without endpoints", "nobody's"],
)
def test_an_event_is_told_to_the_accounts_it_concerns_and_alerts_to_operators_too(
    kind: str, accounts: tuple[str, ...], expected: set[str]
) -> None:
    found = Directory(all_endpoints()).receivers(notice(type=kind, account_ids=accounts))
    assert {one.endpoint_id for one in found} == expected | ({"ep_o"} if kind in OPERATOR_TYPES else set())


def test_a_disabled_endpoint_is_not_told_that_it_is() -> None:
    told = notice(type="webhook.endpoint_disabled", data={"endpoint_id": "ep_a"})
    assert [one.endpoint_id for one in Directory(all_endpoints()).receivers(told)] == ["ep_o"]


some = st.frozensets(st.sampled_from(["a.example", "b.example"]), max_size=2)


@given(domains=some, final=st.booleans(), domain=st.sampled_from(["", "a.example", "b.example"]),
       classes=st.frozensets(st.sampled_from(["marketing", "transactional"]), max_size=2),
       mail_class=st.sampled_from(["", "marketing", "unknown"]), kind=st.sampled_from(WEBHOOK_TYPES))  # fmt: skip
def test_a_filter_lets_through_what_it_names_and_what_does_not_say(
    domains: frozenset[str], final: bool, domain: str, classes: frozenset[str], mail_class: str, kind: str
) -> None:
    filters = Filters(sender_domains=domains, mail_classes=classes, final_failures_only=final)
    expected = (
        (not domains or not domain or domain in domains)
        and (not classes or not mail_class or mail_class in classes)
        and not (final and kind == "email.delayed")
    )
    told = notice(type=kind, sender_domain=domain, mail_class=mail_class)
    assert passes(endpoint(filters=filters), told) == expected


@given(
    st.lists(st.tuples(st.sampled_from(["ep_1", "ep_2"]), st.sampled_from(["acme", "zeta", None, "gone"])))
)
def test_a_directory_answers_as_if_it_was_made_of_what_is_left(changes: list[tuple[str, str | None]]) -> None:
    directory, left = Directory(), {}
    for name, account in changes:
        if account == "gone":
            directory.remove(name)
            left.pop(name, None)
        else:
            left[name] = endpoint(
                endpoint_id=name, account_id=account, event_types=frozenset({"delivery.alert"})
            )
            directory.put(left[name])
    alert = notice(type="delivery.alert", account_ids=("acme",))
    assert directory.all() == [left[name] for name in sorted(left)]
    assert directory.receivers(alert) == [one for one in directory.all() if one.account_id in ("acme", None)]
    assert directory.is_wanted("delivery.alert", "acme") == any(e.account_id == "acme" for e in left.values())
