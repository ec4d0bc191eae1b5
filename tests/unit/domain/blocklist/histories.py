"""Builders and generators of signals about one address."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from hypothesis import strategies as st

from postloop.domain.blocklist import (
    DEFAULT_POLICY,
    GLOBAL,
    Change,
    Delivered,
    Entry,
    Evidence,
    Ordered,
    Policy,
    Reported,
    Signal,
    decide,
)
from postloop.domain.blocklist.policy import DAY_MS

NOW_MS = 1_790_000_000_000
ADDRESS = "anna@example.org"
DOMAIN = "shop.example"


def days(count: float) -> int:
    """Return the moment so many days before NOW_MS (negative: after)."""
    return NOW_MS - int(count * DAY_MS)


def hard(at_ms: int, account: str = "a", *, event_id: str = "", reason: str = "user_unknown") -> Reported:
    return _reported(GLOBAL, "hard", at_ms, account, event_id, reason)


def soft(at_ms: int, account: str = "a", *, event_id: str = "", reason: str = "mailbox_full") -> Reported:
    return _reported(GLOBAL, "soft", at_ms, account, event_id, reason)


def complaint(at_ms: int, account: str = "a", *, event_id: str = "") -> Reported:
    return _reported(DOMAIN, "complaint", at_ms, account, event_id, "complaint")


def unsubscribe(at_ms: int, account: str = "a", *, event_id: str = "") -> Reported:
    return _reported(DOMAIN, "unsubscribe", at_ms, account, event_id, "unsubscribe")


def _reported(scope: str, kind: Any, at_ms: int, account: str, event_id: str, reason: str) -> Reported:
    evidence = Evidence(
        kind=kind,
        at_ms=at_ms,
        account_id=account,
        reason=reason,
        event_id=event_id or f"{kind}-{reason}-{account}-{at_ms}",
        smtp_text="550 5.1.1 no such user",
    )
    return Reported(scope=scope, recipient=ADDRESS, provider="gmail", evidence=evidence)


def delivered(at_ms: int) -> Delivered:
    return Delivered(recipient=ADDRESS, at_ms=at_ms, event_id=f"delivery-{at_ms}")


def order(
    command: Any,
    at_ms: int = NOW_MS,
    *,
    actor: str = "operator:eve",
    scope: str = GLOBAL,
    owns: bool = False,
    until_ms: int | None = None,
    command_id: str = "",
) -> Ordered:
    kind, _, name = actor.partition(":")
    return Ordered(
        scope=scope,
        recipient=ADDRESS,
        command_id=command_id or f"{command}-{actor}-{at_ms}",
        command=command,
        actor_kind="account" if kind == "account" else "operator",
        actor_id=name,
        reason="asked for",
        requested_ms=at_ms,
        owns_domain=owns,
        until_ms=until_ms,
    )


def play(
    signals: Iterable[Signal],
    *,
    entry: Entry | None = None,
    now_ms: int = NOW_MS,
    policy: Policy = DEFAULT_POLICY,
) -> tuple[Entry | None, list[Change]]:
    """Return what becomes of an entry, and all that was published."""
    told: list[Change] = []
    for signal in signals:
        entry, changes = decide(entry, signal, policy, now_ms)
        told += changes
    return entry, told


_accounts = st.sampled_from(["a", "b", "c"])
# A few moments, so that equal ones and equal days come up.
_moments = st.integers(0, 20 * 8).map(lambda eighths: NOW_MS - eighths * DAY_MS // 8)

bounces_and_deliveries = st.one_of(
    st.builds(hard, _moments, _accounts, reason=st.sampled_from(["user_unknown", "host_unknown"])),
    st.builds(soft, _moments, _accounts, reason=st.sampled_from(["mailbox_full", "mailbox_disabled"])),
    st.builds(delivered, _moments),
)
about_address = st.one_of(
    bounces_and_deliveries,
    st.builds(order, st.just("unblock"), _moments),
    st.builds(order, st.just("unblock"), _moments, actor=st.sampled_from(["account:a", "account:b"])),
    st.builds(order, st.just("block"), _moments),
)


def _by_account(command: str) -> st.SearchStrategy[Ordered]:
    """Return commands about the sender domain by the account that sends from it."""
    return st.builds(partial(order, command, scope=DOMAIN, actor="account:a", owns=True), _moments)


about_domain = st.one_of(
    st.builds(complaint, _moments, _accounts),
    st.builds(unsubscribe, _moments, _accounts),
    st.builds(order, st.just("unblock"), _moments, scope=st.just(DOMAIN)),
    _by_account("opt_in"),
    _by_account("block"),
    _by_account("unblock"),
)
