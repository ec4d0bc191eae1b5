"""The view answers as a plain dict of everything that was said would."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.client.records import Change, Listed
from postloop.client.view import BlockedBy, BlockView
from postloop.contracts.address import canonical_recipient
from postloop.contracts.fields import moment
from tests.unit.client.entries import ENTRY_ID, KEY, NOW_MS, blocked, hashed, released

scopes = st.sampled_from(["global", "shop.example", "Shop.example", "other.example"])
recipients = st.sampled_from(
    [
        "ada@example.com",
        "a|b@example.com",
        '"x|y z"@example.com',
        "用户@xn--r8jz45g.jp",
        "no address",
        "\ud800@x",
    ]
)
ends = st.none() | st.integers(NOW_MS - 3, NOW_MS + 3) | st.integers(-5, 253_402_300_799_999)
ids = st.just(ENTRY_ID) | st.text(max_size=5) | st.just(ENTRY_ID.upper())
reasons = st.sampled_from(["user_unknown", "complaint", "", "something new"])
listed = st.builds(Listed, reason=reasons, expires_ms=ends, entry_id=ids, is_hashed=st.booleans())
changes = st.lists(st.builds(Change, scopes, recipients, listed | st.none()), max_size=30)


class NaiveView:
    """A dict of the last words, as they stand in the topic."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Listed] = {}

    def apply(self, change: Change) -> None:
        if change.listed is None:
            self.entries.pop((change.scope, change.recipient), None)
        else:
            self.entries[change.scope, change.recipient] = change.listed

    def entry(self, sender_domain: str, recipient: str) -> BlockedBy | None:
        canonical = canonical_recipient(recipient).canonical
        for name in (hashed(canonical), canonical):
            for scope in ("global", sender_domain):
                found = self.entries.get((scope, name))
                if found and (found.expires_ms is None or found.expires_ms > NOW_MS):
                    end = None if found.expires_ms is None else moment(found.expires_ms)
                    return BlockedBy(scope, found.reason, end, found.entry_id)
        return None


def as_published(change: Change) -> Change:
    if change.listed is None or not change.listed.is_hashed:
        return change
    return change._replace(recipient=hashed(change.recipient))


@given(changes, scopes, recipients)
def test_it_answers_as_a_dict_of_the_last_words(changes: list[Change], domain: str, recipient: str) -> None:
    view, model = BlockView(hash_key=KEY), NaiveView()
    for change in map(as_published, changes):
        view.apply(change)
        model.apply(change)
    expected = model.entry(domain, recipient)
    assert view.entry(domain, recipient, now_ms=NOW_MS) == expected
    assert view.entries([(domain, recipient)], now_ms=NOW_MS) == [expected]
    assert view.blocks(domain, recipient, now_ms=NOW_MS) == (expected is not None)
    assert view.entry_count == len(model.entries)
    assert view.has_any_in_force(now_ms=NOW_MS) == any(
        found.expires_ms is None or found.expires_ms > NOW_MS for found in model.entries.values()
    )
    assert not view.lacks_key


@given(changes)
def test_a_replay_changes_nothing(changes: list[Change]) -> None:
    once, twice = BlockView(), BlockView()
    for change in changes:
        once.apply(change)
    for change in [*changes, *changes]:
        twice.apply(change)
    for change in changes:
        found = once.entry(change.scope, change.recipient, now_ms=NOW_MS)
        assert twice.entry(change.scope, change.recipient, now_ms=NOW_MS) == found
    assert (once.entry_count, once.lacks_key) == (twice.entry_count, twice.lacks_key)


@given(changes)
def test_it_lacks_the_key_exactly_while_it_holds_hashed_entries(changes: list[Change]) -> None:
    view, model = BlockView(), NaiveView()
    for change in changes:
        view.apply(change)
        model.apply(change)
    assert view.lacks_key == any(found.is_hashed for found in model.entries.values())


@pytest.mark.parametrize(
    ("domain", "recipient", "is_blocked"),
    [
        pytest.param("shop.example", "ada@example.com", True, id="as-listed"),
        pytest.param("shop.example", " Ada@EXAMPLE.com ", True, id="another-spelling-of-the-recipient"),
        pytest.param("Shop.example", "ada@example.com", False, id="sender-domains-are-compared-exactly"),
        pytest.param("shop.example", "ada+news@example.com", False, id="tags-are-kept"),
        pytest.param("global", "ada@example.com", False, id="the-word-global-is-no-way-in"),
        pytest.param("any.example", "eve@example.com", True, id="global-blocks-every-domain"),
        pytest.param("shop.example|ada@example.com", "", False, id="the-separator-in-a-domain"),
    ],
)
def test_who_is_blocked(domain: str, recipient: str, is_blocked: bool) -> None:
    view = BlockView()
    view.apply(blocked("shop.example", "ada@example.com"))
    view.apply(blocked("global", "eve@example.com"))
    assert view.blocks(domain, recipient, now_ms=NOW_MS) == is_blocked


def test_an_entry_ends_at_its_end_without_its_tombstone() -> None:
    view = BlockView()
    view.apply(blocked("global", "ada@example.com", expires_ms=NOW_MS))
    assert view.blocks("shop.example", "ada@example.com", now_ms=NOW_MS - 1)
    assert not view.blocks("shop.example", "ada@example.com", now_ms=NOW_MS)
    assert view.entry_count == 1


def test_an_extension_moves_the_end() -> None:
    view = BlockView()
    view.apply(blocked("global", "ada@example.com", expires_ms=NOW_MS))
    view.apply(blocked("global", "ada@example.com", expires_ms=NOW_MS + 1))
    found = view.entry("shop.example", "ada@example.com", now_ms=NOW_MS)
    assert found == BlockedBy("global", "user_unknown", moment(NOW_MS + 1), ENTRY_ID)


def test_the_end_is_kept_to_the_millisecond_up_to_the_last_year() -> None:
    view = BlockView()
    last_ms = 253_402_300_799_999
    view.apply(blocked("global", "ada@example.com", expires_ms=last_ms))
    found = view.entry("shop.example", "ada@example.com", now_ms=last_ms - 1)
    assert found is not None
    assert found.expires_at == datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)


def test_clear_and_hashed_entries_are_found_side_by_side() -> None:
    """The form is a setting that may change while entries of the other form last."""
    view = BlockView(hash_key=KEY)
    view.apply(blocked("global", hashed("ada@example.com"), is_hashed=True))
    view.apply(blocked("global", "eve@example.com"))
    answers = [
        view.blocks("shop.example", f"{name}@example.com", now_ms=NOW_MS) for name in ("ada", "eve", "bob")
    ]
    assert answers == [True, True, False]


def test_more_reasons_than_there_is_room_for_are_no_crash() -> None:
    view = BlockView()
    for number in range(17_000):
        view.apply(blocked("global", f"u{number}@example.com", reason=f"reason {number}"))
    found = view.entry("shop.example", "u16999@example.com", now_ms=NOW_MS)
    assert found is not None
    assert found.reason == ""


def test_released_entries_leave_no_memory_behind() -> None:
    fresh, used = BlockView(), BlockView()
    for number in range(20):
        used.apply(blocked("global", f"u{number}@example.com", entry_id=f"no UUID {number}"))
    for number in range(20):
        used.apply(released("global", f"u{number}@example.com"))
    assert (used.entry_count, used.size_bytes) == (0, fresh.size_bytes)
