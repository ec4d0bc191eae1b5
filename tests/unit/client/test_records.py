"""Any bytes are read or skipped; what is read is what the role wrote."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.client.records import Change, Listed, read_record
from postloop.contracts.blocklist import insert_bytes
from postloop.contracts.fields import milliseconds, moment
from postloop.domain.blocklist import Block, Blocked, Told
from tests.unit.client.entries import ENTRY_ID, record, state_event

KEY = b"global|ada@example.com"
END_MS = milliseconds(datetime(2026, 12, 9, 10, tzinfo=UTC))


def value(**fields: object) -> bytes:
    return json.dumps(state_event(**fields)).encode()


def test_a_record_of_the_role_is_read() -> None:
    assert read_record(*record("global", "ada@example.com")) == Change(
        "global", "ada@example.com", Listed("user_unknown", END_MS, ENTRY_ID, False)
    )


def test_what_the_role_itself_makes_is_read() -> None:
    block = Block(
        reason="complaint",
        cause_account_ids=("acme",),
        source_event_ids=("e1",),
        smtp_text="",
        rule="",
        rule_version="",
        starts_ms=0,
        expires_ms=END_MS,
    )
    told = Told(
        entry_id=ENTRY_ID, event_id=ENTRY_ID, change="inserted", inserted_ms=0, changed_ms=0, block=block
    )
    value = insert_bytes(
        Blocked(scope="shop.example", recipient="ab" * 32, provider="", told=told), form="hmac-sha256"
    )
    read = read_record(b"shop.example|" + b"ab" * 32, value)
    assert read == Change("shop.example", "ab" * 32, Listed("complaint", END_MS, ENTRY_ID, True))


def test_a_null_value_releases() -> None:
    assert read_record(KEY, None) == Change("global", "ada@example.com", None)


def test_the_recipient_may_hold_the_separator() -> None:
    read = read_record(b'shop.example|"a|b"@example.com', None)
    assert read == Change("shop.example", '"a|b"@example.com', None)


def test_half_characters_in_a_key_are_no_crash() -> None:
    read = read_record("global|a\ud800@example.com".encode("utf-8", "surrogatepass"), None)
    assert read == Change("global", "a\ud800@example.com", None)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"expires_at": None}, id="no-end"),
        pytest.param({"new_field": {"a": 1}}, id="a-field-of-a-later-version"),
        pytest.param({"reason": "a_new_reason"}, id="a-reason-of-a-later-version"),
        pytest.param({"expires_at": "2026-12-09T11:00:00+01:00"}, id="another-zone"),
    ],
)
def test_what_a_later_version_may_write_is_read(fields: dict[str, object]) -> None:
    read = read_record(KEY, value(**fields))
    assert read is not None
    assert read.listed is not None


@pytest.mark.parametrize(
    ("key", "content"),
    [
        pytest.param(None, value(), id="no-key"),
        pytest.param(b"ada@example.com", value(), id="no-separator"),
        pytest.param(b"|ada@example.com", value(), id="no-scope"),
        pytest.param(b"global|", value(), id="no-recipient"),
        pytest.param(b"global|\xff", value(), id="key-not-utf8"),
        pytest.param(KEY, b"", id="empty"),
        pytest.param(KEY, b"null", id="null-as-json"),
        pytest.param(KEY, b"[]", id="an-array"),
        pytest.param(KEY, b"{", id="not-json"),
        pytest.param(KEY, value(expires_at="tomorrow"), id="no-time"),
        pytest.param(KEY, value(expires_at=1_800_000_000), id="time-as-a-number"),
        pytest.param(KEY, value(recipient_form="md5"), id="unknown-form"),
        pytest.param(KEY, b'{"recipient_form":"clear"}', id="no-end-given"),
    ],
)
def test_what_cannot_be_read_is_skipped(key: bytes | None, content: bytes) -> None:
    assert read_record(key, content) is None


@given(st.none() | st.binary(), st.none() | st.binary())
def test_no_bytes_are_a_crash(key: bytes | None, content: bytes | None) -> None:
    read = read_record(key, content)
    assert read is None or (read.scope and read.recipient)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_exact_to_the_millisecond(at: datetime) -> None:
    cut = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert moment(milliseconds(at)) == cut
