"""Commands: who may change what, and the answer in a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from postloop.domain.blocklist.changes import Answered, Change, Outcome
from postloop.domain.blocklist.entry import Entry, Release, ReleaseCause
from postloop.domain.blocklist.policy import Policy
from postloop.domain.blocklist.signals import GLOBAL, Evidence, Ordered
from postloop.domain.blocklist.standing import standing

MANUAL: Final = "manual"
MAX_AHEAD_MS: Final = 300_000
"""How far the clock of whoever asks may be ahead of ours."""

_Result = tuple[Entry, tuple[Change, ...]]


def ordered(entry: Entry, order: Ordered, policy: Policy, *, now_ms: int) -> _Result:
    """Return the entry after a command, and the answer. What may not be is refused with its reason."""
    if order.requested_ms > now_ms + MAX_AHEAD_MS:
        return _refused(entry, order, "requested_in_future", "requested_at is more than 5 minutes ahead")
    if order.actor_kind == "account" and order.command in ("extend", "rollback"):
        return _refused(entry, order, "operators_only", f"only an operator may {order.command}", policy)
    match order.command:
        case "block":
            return _block(entry, order, policy, now_ms=now_ms)
        case "extend":
            return _extend(entry, order, policy, now_ms=now_ms)
        case "opt_in":
            return _opt_in(entry, order, policy, now_ms=now_ms)
        case "rollback":
            return _release(entry, order, policy, "rolled_back", now_ms=now_ms)
        case "unblock" if order.actor_kind == "operator":
            return _release(entry, order, policy, "unblocked", now_ms=now_ms)
        case "unblock":
            return _withdraw(entry, order, policy, now_ms=now_ms)
        case "release_held" | "discard_held":
            return _refused(
                entry, order, "needs_provider", "An address holds nothing: name a mailbox provider."
            )
        case _:
            assert_never(order.command)


def _block(entry: Entry, order: Ordered, policy: Policy, *, now_ms: int) -> _Result:
    if order.actor_kind == "account":
        if order.scope == GLOBAL:
            return _refused(
                entry, order, "operators_only", "only an operator may block for every sender domain", policy
            )
        if not order.owns_domain:
            return _not_your_domain(entry, order)
    if order.until_ms is not None and order.until_ms <= now_ms:
        return _refused(entry, order, "expires_in_past", "expires_at has passed already")
    if any(e.event_id == order.command_id for e in entry.evidence):
        return entry, (_answer(order, "done", "blocked", "The address is blocked."),)
    return _with_manual(entry, order, until_ms=order.until_ms), (
        _answer(order, "done", "blocked", "The address is blocked."),
    )


def _extend(entry: Entry, order: Ordered, policy: Policy, *, now_ms: int) -> _Result:
    block = standing(entry, policy, now_ms=now_ms)
    if block is None:
        return _not_found(entry, order)
    if block.expires_ms is None:
        return _refused(entry, order, "no_end", "The block has no end that could be moved.")
    until_ms = order.until_ms or order.requested_ms + policy.lease_ms
    if until_ms <= block.expires_ms:
        return _refused(entry, order, "not_longer", "The block already lasts longer than that.")
    return _with_manual(entry, order, until_ms=until_ms), (
        _answer(order, "done", "extended", "The block lasts longer now."),
    )


def _with_manual(entry: Entry, order: Ordered, *, until_ms: int | None) -> Entry:
    evidence = Evidence(
        kind="manual",
        at_ms=order.requested_ms,
        account_id=order.actor_id if order.actor_kind == "account" else "",
        reason=MANUAL,
        event_id=order.command_id,
        smtp_text=order.reason,
        until_ms=until_ms,
    )
    return replace(entry, evidence=(*entry.evidence, evidence))


def _opt_in(entry: Entry, order: Ordered, policy: Policy, *, now_ms: int) -> _Result:
    if order.scope == GLOBAL:
        return _refused(entry, order, "needs_sender_domain", "An opt-in is given to one sender domain.")
    if order.actor_kind == "account" and not (order.owns_domain or _is_cause(entry, order)):
        return _not_your_domain(entry, order)
    return _release(entry, order, policy, "opt_in", now_ms=now_ms)


def _release(entry: Entry, order: Ordered, policy: Policy, cause: ReleaseCause, *, now_ms: int) -> _Result:
    """Lift everything from before the request. Kept even when nothing is blocked: late evidence may follow."""
    was_blocked = standing(entry, policy, now_ms=now_ms) is not None
    newest = Release(at_ms=order.requested_ms, cause=cause)
    if entry.release is not None:
        newest = max(entry.release, newest, key=lambda release: (release.at_ms, release.cause))
    after = replace(
        entry,
        release=newest,
        evidence=tuple(e for e in entry.evidence if e.at_ms > newest.at_ms),
    )
    if not was_blocked:
        return after, _not_found(entry, order)[1]
    if standing(after, policy, now_ms=now_ms) is not None:
        return after, _newer_cause(order)
    return after, (_answer(order, "done", cause, "The address is released."),)


def _withdraw(entry: Entry, order: Ordered, policy: Policy, *, now_ms: int) -> _Result:
    """An account takes back what its own mail caused; the block stands while another's cause is left.

    A block for a sender domain that others caused does not exist for an account that sends nothing from there.
    """
    block = standing(entry, policy, now_ms=now_ms)
    after = replace(entry, withdrawals=_withdrawn(entry, order))
    if order.scope != GLOBAL and not (order.owns_domain or _is_cause(entry, order)):
        return _not_found(after, order)
    if _has_own_consent_cause(entry, order):
        text = "The recipient complained or unsubscribed: only a new opt-in or an operator ends this."
        return _refused(after, order, "needs_opt_in", text, policy)
    if block is None:
        return after, _not_found(entry, order)[1]
    left = standing(after, policy, now_ms=now_ms)
    if left is None:
        return after, (_answer(order, "done", "unblocked", "The address is released."),)
    if order.actor_id in left.cause_account_ids:
        return after, _newer_cause(order)
    text = "The mail of another account caused this block: only an operator can lift it."
    return after, _refused(entry, order, "caused_by_another_account", text, policy)[1]


def _withdrawn(entry: Entry, order: Ordered) -> tuple[tuple[str, int], ...]:
    marks = dict(entry.withdrawals)
    marks[order.actor_id] = max(order.requested_ms, marks.get(order.actor_id, order.requested_ms))
    return tuple(sorted(marks.items()))


def _has_own_consent_cause(entry: Entry, order: Ordered) -> bool:
    """Return whether the account's own mail was complained about; of another's it is not told."""
    return any(
        e.kind in ("complaint", "unsubscribe") and e.account_id == order.actor_id for e in entry.evidence
    )


def _is_cause(entry: Entry, order: Ordered) -> bool:
    return any(e.account_id == order.actor_id for e in entry.evidence)


def _not_your_domain(entry: Entry, order: Ordered) -> _Result:
    text = "The account has sent nothing from this sender domain."
    return _refused(entry, order, "not_your_domain", text)


def _newer_cause(order: Ordered) -> tuple[Change, ...]:
    text = "The address failed again after this was requested: ask once more to lift that too."
    return (_answer(order, "refused", "newer_cause", text),)


def _not_found(entry: Entry, order: Ordered) -> _Result:
    return entry, (_answer(order, "not_found", "not_blocked", "The address is not blocked in this scope."),)


def _refused(entry: Entry, order: Ordered, code: str, text: str, contact: Policy | None = None) -> _Result:
    if contact is not None and contact.operator_contact:
        text = f"{text.rstrip('.')}. Contact: {contact.operator_contact}"
    return entry, (_answer(order, "refused", code, text),)


def _answer(order: Ordered, outcome: Outcome, code: str, text: str) -> Answered:
    return Answered(command_id=order.command_id, outcome=outcome, code=code, text=text)
