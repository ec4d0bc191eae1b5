"""The published rules, one by one."""

from __future__ import annotations

import pytest

from postloop.domain.blocklist import (
    GLOBAL,
    Answered,
    Blocked,
    Change,
    Entry,
    Policy,
    Released,
    Signal,
    TimePassed,
    decide,
    due_ms,
    standing,
)
from postloop.domain.blocklist.policy import DAY_MS, DEFAULT_POLICY
from tests.unit.domain.blocklist.histories import (
    ADDRESS,
    DOMAIN,
    NOW_MS,
    complaint,
    days,
    delivered,
    hard,
    order,
    play,
    soft,
    unsubscribe,
)

LEASE_MS = 14 * DAY_MS


def told(*signals: Signal, policy: Policy = DEFAULT_POLICY) -> list[str]:
    """Return in words what was published."""
    return [_word(change) for change in play(signals, policy=policy)[1]]


def _word(change: Change) -> str:
    match change:
        case Blocked():
            return change.told.change
        case Released():
            return f"expired:{change.cause}"
        case Answered():
            return f"{change.outcome}:{change.code}"


def entry_of(*signals: Signal, policy: Policy = DEFAULT_POLICY) -> Entry:
    entry, _ = play(signals, policy=policy)
    assert entry is not None
    return entry


def expires(entry: Entry) -> int | None:
    block = standing(entry, DEFAULT_POLICY, now_ms=NOW_MS)
    assert block is not None
    return block.expires_ms


# -- bounces ---------------------------------------------------------------------------------------------------


def test_a_hard_bounce_blocks_for_14_days_from_its_own_time() -> None:
    entry = entry_of(hard(days(3)))

    assert entry.told is not None
    assert entry.told.block.starts_ms == days(3)
    assert entry.told.block.expires_ms == days(3) + LEASE_MS
    assert entry.told.block.cause_account_ids == ("a",)
    assert entry.told.inserted_ms == NOW_MS


def test_a_later_bounce_moves_the_end_and_keeps_the_entry() -> None:
    _, changes = play([hard(days(3)), hard(days(1), "b")])

    first, second = changes
    assert isinstance(first, Blocked) and isinstance(second, Blocked)
    assert second.told.change == "extended"
    assert second.told.entry_id == first.told.entry_id
    assert second.told.event_id != first.told.event_id
    assert second.told.block.expires_ms == days(1) + LEASE_MS
    assert second.told.block.cause_account_ids == ("a", "b")


def test_an_earlier_bounce_of_another_account_is_a_cause_and_no_extension() -> None:
    entry, changes = play([hard(days(1)), hard(days(3), "b")])

    assert [_word(change) for change in changes] == ["inserted"]
    assert entry is not None and entry.told is not None
    assert entry.told.block.cause_account_ids == ("a", "b")
    assert entry.told.block.expires_ms == days(1) + LEASE_MS


def test_a_bounce_older_than_14_days_makes_no_entry() -> None:
    assert told(hard(days(14))) == []
    assert told(hard(days(14) + 1)) == ["inserted"]


def test_a_lease_ends_at_its_time_and_names_itself() -> None:
    entry = entry_of(hard(days(3)))
    end_ms = days(3) + LEASE_MS
    passed = TimePassed(scope=GLOBAL, recipient=ADDRESS)

    still, nothing = decide(entry, passed, DEFAULT_POLICY, end_ms - 1)
    over, changes = decide(still, passed, DEFAULT_POLICY, end_ms)
    assert nothing == ()
    assert [_word(change) for change in changes] == ["expired:lease_ended"]
    assert due_ms(entry, DEFAULT_POLICY) == end_ms
    assert over.is_trivial


def test_the_block_after_one_that_ended_is_another_entry() -> None:
    entry = entry_of(hard(days(3)))
    assert entry.told is not None
    end_ms = days(3) + LEASE_MS
    over, _ = decide(entry, TimePassed(scope=GLOBAL, recipient=ADDRESS), DEFAULT_POLICY, end_ms)
    again, changes = decide(over, hard(end_ms + 1), DEFAULT_POLICY, end_ms + 2)

    assert [_word(change) for change in changes] == ["inserted"]
    assert again.told is not None and again.told.entry_id != entry.told.entry_id


# -- soft bounces ----------------------------------------------------------------------------------------------


def test_soft_bounces_on_three_days_block_and_not_on_two() -> None:
    assert told(soft(days(5)), soft(days(4)), soft(days(4) + 60_000)) == []
    assert told(soft(days(5)), soft(days(4)), soft(days(3))) == ["inserted"]


def test_a_fourth_day_extends() -> None:
    entry, changes = play([soft(days(5)), soft(days(4)), soft(days(3)), soft(days(2))])

    assert [_word(change) for change in changes] == ["inserted", "extended"]
    assert entry is not None and expires(entry) == days(2) + LEASE_MS


def test_a_delivery_in_between_starts_the_count_again() -> None:
    between = (soft(days(5)), soft(days(4)), delivered(days(3.5)), soft(days(3)))
    assert told(*between) == []
    assert told(*between, soft(days(2)), soft(days(1))) == ["inserted"]


def test_a_delivery_that_comes_late_undoes_a_count_that_it_interrupted() -> None:
    assert told(soft(days(5)), soft(days(4)), soft(days(3)), delivered(days(3.5))) == [
        "inserted",
        "expired:delivered",
    ]


def test_soft_bounces_over_more_than_14_days_do_not_add_up() -> None:
    assert told(soft(days(15)), soft(days(8)), soft(days(0.5))) == []


def test_a_delivery_after_a_hard_bounce_releases_only_where_the_policy_says_so() -> None:
    history = (hard(days(3)), delivered(days(2)))
    assert told(*history) == ["inserted"]
    assert told(*history, policy=Policy(release_on_delivery=True)) == ["inserted", "expired:delivered"]


# -- complaints and unsubscribes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signal", [complaint(days(300)), unsubscribe(days(300))], ids=["complaint", "unsubscribe"]
)
def test_a_complaint_or_unsubscribe_blocks_for_its_sender_domain_without_end(signal: Signal) -> None:
    entry = entry_of(signal)

    assert entry.scope == DOMAIN
    assert expires(entry) is None
    assert due_ms(entry, DEFAULT_POLICY) is None


def test_an_old_unsubscribe_does_not_undo_a_newer_opt_in() -> None:
    opt_in = order("opt_in", days(10), scope=DOMAIN, actor="account:a", owns=True)
    assert told(unsubscribe(days(20)), opt_in, unsubscribe(days(15))) == [
        "inserted",
        "expired:opt_in",
        "done:opt_in",
    ]
    assert told(unsubscribe(days(20)), opt_in, unsubscribe(days(5)))[-1] == "inserted"


# -- commands --------------------------------------------------------------------------------------------------


def test_an_account_lifts_what_only_its_own_mail_caused() -> None:
    assert told(hard(days(1)), order("unblock", actor="account:a")) == [
        "inserted",
        "expired:unblocked",
        "done:unblocked",
    ]


def test_an_account_does_not_lift_what_another_caused() -> None:
    policy = Policy(operator_contact="help@platform.example")
    _, changes = play([hard(days(1), "b"), order("unblock", actor="account:a")], policy=policy)

    answer = changes[-1]
    assert isinstance(answer, Answered)
    assert (answer.outcome, answer.code) == ("refused", "caused_by_another_account")
    assert "help@platform.example" in answer.text


def test_an_account_withdraws_its_cause_and_the_block_stands_while_another_is_left() -> None:
    both = (hard(days(2), "a"), hard(days(1), "b"))
    withdraw = order("unblock", actor="account:a")
    entry, changes = play([*both, withdraw])

    assert _word(changes[-1]) == "refused:caused_by_another_account"
    assert entry is not None and entry.told is not None
    assert entry.told.block.cause_account_ids == ("b",)
    assert told(*both, withdraw, order("unblock", actor="account:b"))[-2:] == [
        "expired:unblocked",
        "done:unblocked",
    ]


def test_an_operator_lifts_whatever_its_causes() -> None:
    assert told(hard(days(2), "a"), hard(days(1), "b"), order("unblock"))[-2:] == [
        "expired:unblocked",
        "done:unblocked",
    ]


def test_a_bounce_from_before_an_unblock_does_not_block_again() -> None:
    assert told(hard(days(2)), order("unblock", days(1)), hard(days(1.5), "b")) == [
        "inserted",
        "expired:unblocked",
        "done:unblocked",
    ]


def test_a_bounce_after_the_request_keeps_the_block_and_the_answer_says_so() -> None:
    assert told(hard(days(1)), order("unblock", days(2)))[-1] == "refused:newer_cause"


def test_a_block_without_end_that_is_lifted_leaves_the_lease_of_a_newer_bounce() -> None:
    entry, changes = play([order("block", days(3)), hard(days(1)), order("unblock", days(2))])

    assert [_word(change) for change in changes] == [
        "inserted",
        "done:blocked",
        "expired:unblocked",
        "inserted",
        "refused:newer_cause",
    ]
    assert entry is not None and entry.told is not None
    assert entry.told.block.expires_ms == due_ms(entry, DEFAULT_POLICY) == days(1) + LEASE_MS


def test_only_an_operator_or_an_opt_in_ends_a_complaint() -> None:
    by_account = order("unblock", scope=DOMAIN, actor="account:a", owns=True)
    assert told(complaint(days(1)), by_account)[-1] == "refused:needs_opt_in"
    assert told(complaint(days(1)), order("unblock", scope=DOMAIN))[-1] == "done:unblocked"


@pytest.mark.parametrize(
    ("caused", "owns", "word"),
    [
        pytest.param([complaint(days(1), "b")], True, "refused:caused_by_another_account", id="own domain"),
        pytest.param([complaint(days(1), "b")], False, "not_found:not_blocked", id="foreign domain"),
        pytest.param(
            [order("block", days(1), scope=DOMAIN)], True, "refused:caused_by_another_account", id="hand"
        ),
        pytest.param(
            [order("block", days(1), scope=DOMAIN)], False, "not_found:not_blocked", id="hand, foreign"
        ),
        pytest.param(
            [complaint(days(2), "b"), order("block", days(1), scope=DOMAIN, actor="account:a", owns=True)],
            True,
            "refused:caused_by_another_account",
            id="what the other's recipient said is not told",
        ),
        pytest.param(
            [complaint(days(2), "a"), complaint(days(1), "b")], True, "refused:needs_opt_in", id="both"
        ),
        pytest.param([], True, "not_found:not_blocked", id="nothing"),
    ],
)
def test_a_block_of_a_sender_domain_is_told_to_who_sends_from_it_and_lifted_by_whose_it_is(
    caused: list[Signal], owns: bool, word: str
) -> None:
    asked = order("unblock", scope=DOMAIN, actor="account:a", owns=owns)
    entry, changes = play([*caused, asked])
    assert _word(changes[-1]) == word
    assert entry is not None
    assert (entry.told is not None) is bool(caused), "it stands"


@pytest.mark.parametrize(
    ("signal", "word"),
    [
        pytest.param(order("block", actor="account:a"), "refused:operators_only", id="global by an account"),
        pytest.param(
            order("block", actor="account:a", scope=DOMAIN), "refused:not_your_domain", id="a foreign domain"
        ),
        pytest.param(
            order("block", actor="account:a", scope=DOMAIN, owns=True), "done:blocked", id="its own domain"
        ),
        pytest.param(order("block"), "done:blocked", id="global by an operator"),
        pytest.param(order("block", until_ms=NOW_MS), "refused:expires_in_past", id="until now"),
        pytest.param(order("extend", actor="account:a"), "refused:operators_only", id="extend by an account"),
        pytest.param(
            order("rollback", actor="account:a"), "refused:operators_only", id="rollback by an account"
        ),
        pytest.param(order("unblock"), "not_found:not_blocked", id="nothing to unblock"),
        pytest.param(order("extend"), "not_found:not_blocked", id="nothing to extend"),
        pytest.param(order("opt_in"), "refused:needs_sender_domain", id="opt-in for everybody"),
        pytest.param(
            order("opt_in", actor="account:z", scope=DOMAIN), "refused:not_your_domain", id="foreign opt-in"
        ),
        pytest.param(order("unblock", days(-1)), "refused:requested_in_future", id="from tomorrow"),
    ],
)
def test_a_command_gets_its_answer(signal: Signal, word: str) -> None:
    assert told(signal)[-1] == word


def test_an_extension_by_hand_moves_the_end() -> None:
    until_ms = NOW_MS + 30 * DAY_MS
    entry, changes = play([hard(days(1)), order("extend", until_ms=until_ms)])

    assert [_word(change) for change in changes] == ["inserted", "extended", "done:extended"]
    assert entry is not None and expires(entry) == until_ms


def test_a_rollback_names_its_cause() -> None:
    assert told(hard(days(1)), order("rollback"))[-2:] == ["expired:rolled_back", "done:rolled_back"]


# -- options of the policy -------------------------------------------------------------------------------------


def test_leases_escalate_where_the_policy_says_so() -> None:
    policy = Policy(escalation=(1, 2, 4))
    entry, now_ms, lengths = None, NOW_MS, []
    for number in range(4):
        entry, changes = decide(entry, hard(now_ms, event_id=f"bounce-{number}"), policy, now_ms)
        assert isinstance(changes[0], Blocked)
        end_ms = changes[0].told.block.expires_ms
        assert end_ms is not None
        lengths.append((end_ms - now_ms) // LEASE_MS)
        entry, _ = decide(entry, TimePassed(scope=GLOBAL, recipient=ADDRESS), policy, end_ms)
        now_ms = end_ms + 1

    assert lengths == [1, 2, 4, 4]


def test_a_lease_that_a_shorter_policy_ends_has_run_out() -> None:
    entry = entry_of(hard(days(3)))
    passed = TimePassed(scope=GLOBAL, recipient=ADDRESS)
    over, changes = decide(entry, passed, Policy(lease_ms=2 * DAY_MS), NOW_MS)

    assert [_word(change) for change in changes] == ["expired:lease_ended"]
    assert over.ended_ms == NOW_MS


def test_what_can_matter_no_more_is_forgotten() -> None:
    entry = entry_of(soft(days(20)), delivered(days(18)), order("unblock", days(15)))
    later_ms = NOW_MS + 60 * DAY_MS

    forgotten, changes = decide(entry, TimePassed(scope=GLOBAL, recipient=ADDRESS), DEFAULT_POLICY, later_ms)
    assert forgotten.is_trivial
    assert changes == ()
    due = due_ms(entry, DEFAULT_POLICY)
    assert due is not None and due < later_ms
