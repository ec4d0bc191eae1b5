"""A key opens what its text opens, until its end or its revocation; of its text nothing is kept."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.api_key import (
    RANDOM_BYTES,
    SECRET_BYTES,
    ApiKey,
    NewKey,
    id_of,
    is_id,
    new_key,
    refusal,
)
from postloop.domain.errors import DataError

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)

randoms = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
moments = st.none() | st.datetimes(
    min_value=datetime(2025, 1, 1), max_value=datetime(2027, 1, 1), timezones=st.just(UTC)
)


def kept(made: NewKey, *, expires_at: datetime | None = None, revoked_at: datetime | None = None) -> ApiKey:
    return ApiKey(
        key_id=made.key_id,
        kind="account",
        account_id="acme",
        name="",
        digest=made.digest,
        created_at=NOW - DAY,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


@given(randoms)
def test_a_key_tells_its_id_and_opens(random: bytes) -> None:
    made = new_key(random)
    assert id_of(made.text) == made.key_id
    assert is_id(made.key_id)
    assert refusal(kept(made), made.text, now=NOW) is None


@given(randoms, randoms)
def test_other_random_bytes_make_another_key(one: bytes, other: bytes) -> None:
    assert (new_key(one).text == new_key(other).text) is (one == other)


def test_a_secret_has_more_random_bits_than_anybody_guesses() -> None:
    assert SECRET_BYTES * 8 >= 192


@given(randoms, st.data())
def test_any_other_text_opens_nothing(random: bytes, data: st.DataObject) -> None:
    made = new_key(random)
    place = data.draw(st.integers(0, len(made.text) - 1))
    sign = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyz234567_A ").filter(lambda s: s != made.text[place])
    )
    changed = made.text[:place] + sign + made.text[place + 1 :]
    assert refusal(kept(made), changed, now=NOW) == "unknown"
    assert refusal(None, made.text, now=NOW) == "unknown"


@given(st.text())
def test_any_text_has_an_id_or_is_no_key(text: str) -> None:
    found = id_of(text)
    assert found is None or (is_id(found) and found in text)


@given(randoms, moments, moments)
def test_it_counts_before_its_end_and_its_revocation_and_never_after(
    random: bytes, expires_at: datetime | None, revoked_at: datetime | None
) -> None:
    made = new_key(random)
    key = kept(made, expires_at=expires_at, revoked_at=revoked_at)
    ended = any(end is not None and end <= NOW for end in (expires_at, revoked_at))
    assert (refusal(key, made.text, now=NOW) is None) is not ended
    # What has ended stays so.
    assert not ended or refusal(key, made.text, now=NOW + DAY) is not None


def test_whoever_lacks_the_secret_learns_nothing_of_a_key() -> None:
    made, other = new_key(bytes(RANDOM_BYTES)), new_key(bytes([1]) * RANDOM_BYTES)
    assert refusal(kept(made, revoked_at=NOW), other.text, now=NOW) == "unknown"


def test_neither_text_nor_hash_is_shown_when_a_key_is_printed() -> None:
    made = new_key(bytes(RANDOM_BYTES))
    assert made.text not in repr(made)
    assert made.digest not in repr(kept(made))


@pytest.mark.parametrize(
    ("kind", "account_id"),
    [pytest.param("account", "", id="an account without name"), pytest.param("operator", "acme", id="both")],
)
def test_a_key_has_exactly_one_owner(kind: str, account_id: str) -> None:
    with pytest.raises(DataError, match="one account or to an operator"):
        ApiKey(key_id="a", kind=kind, account_id=account_id, name="", digest="", created_at=NOW)  # type: ignore[arg-type]
