"""Decoding: every element of every record becomes exactly one event or one error."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postloop.contracts.decode import DecodedRecord, Limits, decode_batch, decode_record
from postloop.contracts.events import MODELS, with_defaults
from postloop.contracts.json_text import is_json
from postloop.domain.event_types import EVENT_TYPES, EventType
from tests.unit.contracts.conftest import ENVELOPE, NOW, make_record

LIMITS = Limits(retention=timedelta(days=400))


def decode(value: bytes | None, event_type: EventType = "bounce") -> DecodedRecord:
    return decode_record(event_type, value, now=NOW, limits=LIMITS)


def only_error(value: bytes | None, event_type: EventType = "bounce") -> tuple[int | None, str, str, str]:
    decoded = decode(value, event_type)
    assert decoded.events == []
    [error] = decoded.errors
    assert error.value == (value or b"")
    assert error.errors[0].text
    return error.index, error.stage, error.errors[0].code, error.errors[0].field


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def raw(field: str, text: str) -> bytes:
    """Return a record with a field of the given JSON text, legal or not."""
    return make_record()[:-1] + f', "{field}": {text}}}'.encode()


POISON = {
    "null-kafka-value": (None, "null_value"),
    "empty": (b"", "not_json"),
    "blank": (b" \n", "not_json"),
    "not-json": (b"hello", "not_json"),
    "cut-off": (make_record()[:-1], "not_json"),
    "trailing": (make_record() + b" x", "not_json"),
    "two-objects": (make_record() + make_record(), "not_json"),
    "single-quotes": (b"{'event_id': 'a'}", "not_json"),
    "trailing-comma": (b'{"event_id": "a",}', "not_json"),
    "byte-order-mark": (b"\xef\xbb\xbf" + make_record(), "not_json"),
    "latin-1": (b'{"event_id": "\xfc"}', "not_utf8"),
    "utf-16": (make_record().decode().encode("utf-16"), "not_utf8"),
    "encoded-surrogate": (b'{"event_id": "\xed\xa0\x80"}', "not_utf8"),
    "escaped-surrogate": (raw("x", '"\\ud800"'), "half_character"),
    "low-surrogate": (raw("x", '"\\udc00"'), "half_character"),
    "control-character": (b'{"event_id": "\x01"}', "not_json"),
    "null": (b"null", "not_an_object"),
    "number": (b"1", "not_an_object"),
    "string": (b'"text"', "not_an_object"),
    "true": (b"true", "not_an_object"),
    "nan-alone": (b"NaN", "not_finite"),
    "nan-in-unknown-field": (raw("x", "NaN"), "not_finite"),
    "infinity-in-unknown-field": (raw("x", "[-Infinity]"), "not_finite"),
    "nan-in-known-field": (raw("smtp_code", "NaN"), "not_finite"),
    "nan-and-no-json": (raw("x", "NaN,,"), "not_json"),
    "long-number": (raw("x", "9" * 5000), "number_too_large"),
    "nesting-21": (make_record(x=deep(20)), "too_deep"),
    "nesting-10000": (raw("x", "[" * 10_000 + "]" * 10_000), "too_deep"),
    "nesting-of-objects": (raw("x", '{"a":' * 30 + "1" + "}" * 30), "too_deep"),
    "unclosed-array": (b"[" + make_record(), "not_json"),
    "array-with-vertical-tab": (b"[\x0b" + make_record() + b"]", "not_json"),
    "array-closed-as-object": (b"[}", "not_json"),
    "array-with-comma": (b"[" + make_record() + b",]", "not_json"),
    "array-of-nothing": (b"[,]", "not_json"),
    "array-with-garbage-behind": (b"[] []", "not_json"),
    "array-with-a-bad-element": (b"[" + make_record() + b", {]", "not_json"),
    "array-with-bad-utf-8": (b"[" + make_record() + b', "\xff"]', "not_utf8"),
    "array-with-open-string": (b'[1, "a]', "not_json"),
    "too-large": (make_record(x="x" * 1_000_000), "too_large"),
}


@pytest.mark.parametrize(("value", "code"), POISON.values(), ids=POISON)
def test_what_is_no_event_is_one_error_of_the_whole_record(value: bytes | None, code: str) -> None:
    assert only_error(value) == (None, "decode", code, "")


REQUIRED = ("event_id", "occurred_at", "account_id", "message_id", "sender_domain", "recipient")
INVALID = {
    **{f"{name}-missing": (make_record(**{name: ...}), "missing", name) for name in REQUIRED},
    **{f"{name}-null": (make_record(**{name: None}), "wrong_type", name) for name in REQUIRED},
    **{f"{name}-number": (make_record(**{name: 1767225600}), "wrong_type", name) for name in REQUIRED},
    **{f"{name}-object": (make_record(**{name: {"a": 1}}), "wrong_type", name) for name in REQUIRED},
    **{
        f"{name}-empty": (make_record(**{name: ""}), "empty", name)
        for name in REQUIRED
        if name != "occurred_at"
    },
    "event-id-of-65": (make_record(event_id="x" * 65), "too_long", "event_id"),
    "message-id-of-999": (make_record(message_id="x" * 999), "too_long", "message_id"),
    "time-empty": (make_record(occurred_at=""), "not_a_time", "occurred_at"),
    "time-without-zone": (make_record(occurred_at="2026-11-23T11:59:00"), "not_a_time", "occurred_at"),
    "time-of-digits": (make_record(occurred_at="1795435140"), "not_a_time", "occurred_at"),
    "time-without-seconds": (make_record(occurred_at="2026-11-23T11:59Z"), "not_a_time", "occurred_at"),
    "time-date-only": (make_record(occurred_at="2026-11-23"), "not_a_time", "occurred_at"),
    "time-with-underscore": (make_record(occurred_at="2026-11-23_11:59:00Z"), "not_a_time", "occurred_at"),
    "time-zone-without-colon": (
        make_record(occurred_at="2026-11-23T11:59:00+0000"),
        "not_a_time",
        "occurred_at",
    ),
    "time-no-such-day": (make_record(occurred_at="2026-02-30T11:59:00Z"), "not_a_time", "occurred_at"),
    "time-leap-second": (make_record(occurred_at="2016-12-31T23:59:60Z"), "not_a_time", "occurred_at"),
    "time-before-year-1": (make_record(occurred_at="0001-01-01T00:00:00+23:59"), "not_a_time", "occurred_at"),
    "year-1970": (make_record(occurred_at="1970-01-01T00:00:00Z"), "too_early", "occurred_at"),
    "end-of-1999": (make_record(occurred_at="1999-12-31T23:59:59.999Z"), "too_early", "occurred_at"),
    "year-2100": (make_record(occurred_at="2100-01-01T00:00:00Z"), "in_future", "occurred_at"),
    "over-24-h-ahead": (make_record(occurred_at="2026-11-24T12:00:00.001Z"), "in_future", "occurred_at"),
    "older-than-retention": (make_record(occurred_at="2025-01-01T00:00:00Z"), "too_old", "occurred_at"),
    **{
        f"version-{text}": (raw("schema_version", text), "unknown_version", "schema_version")
        for text in ("0", "2", '"1"', "null", "true", "1.0", "1.5")
    },
    "mail-class-unknown-word": (make_record(mail_class="spam"), "unknown_value", "mail_class"),
    "mail-class-number": (make_record(mail_class=1), "unknown_value", "mail_class"),
    "pool-kind-unknown-word": (make_record(ip_pool_kind="leased"), "unknown_value", "ip_pool_kind"),
    "sent-at-number": (make_record(sent_at=1), "wrong_type", "sent_at"),
    "sent-at-without-zone": (make_record(sent_at="2026-11-23T11:59:00"), "not_a_time", "sent_at"),
    "tags-11": (make_record(tags=["a"] * 11), "too_many", "tags"),
    "tags-of-65": (make_record(tags=["a", "x" * 65]), "too_long", "tags.1"),
    "tags-string": (make_record(tags="a"), "wrong_type", "tags"),
    "tags-of-numbers": (make_record(tags=[1]), "wrong_type", "tags.0"),
    "smtp-code-string": (make_record(smtp_code="550"), "wrong_type", "smtp_code"),
    "smtp-code-fraction": (make_record(smtp_code=550.5), "wrong_type", "smtp_code"),
    "smtp-code-true": (make_record(smtp_code=True), "wrong_type", "smtp_code"),
    "smtp-code-1000": (make_record(smtp_code=1000), "out_of_range", "smtp_code"),
    "smtp-code-negative": (make_record(smtp_code=-1), "out_of_range", "smtp_code"),
    "attempt-0": (make_record(attempt=0), "out_of_range", "attempt"),
    "attempt-large": (make_record(attempt=10**30), "out_of_range", "attempt"),
    "action-unknown-word": (make_record(action="relayed"), "unknown_value", "action"),
    "diagnostic-number": (make_record(diagnostic=5), "wrong_type", "diagnostic"),
}


@pytest.mark.parametrize(("value", "code", "field"), INVALID.values(), ids=INVALID)
def test_an_object_that_breaks_the_contract_is_one_error_that_names_the_field(
    value: bytes, code: str, field: str
) -> None:
    assert only_error(value) == (None, "validate", code, field)


VALID = {
    "all-defaults": make_record(),
    "blanks-around": b" \r\n\t" + make_record() + b"\n",
    "unknown-field": make_record(colour="blue", nested={"a": [1, {"b": None}]}),
    "nesting-20": make_record(x=deep(19)),
    "word-nan": make_record(x="NaN Infinity", diagnostic="NaN"),
    "brackets-in-text": make_record(diagnostic="[{" * 200),
    "quotes-and-brackets-in-text": make_record(diagnostic='\\"[{\\\\"' * 50, x=[]),
    "nulls": make_record(
        mail_class=None, ip_pool=None, sent_at=None, tags=None, smtp_code=None, attempt=None
    ),
    "malformed-recipient": make_record(recipient="nobody at all"),
    "control-characters-in-address": make_record(recipient="a\x00\x07b@example.com"),
    "international-recipient": make_record(recipient="用户@例え.jp"),
    "recipient-of-10-kB": make_record(recipient="x" * 10_000),
    "escaped-pair": raw("x", '"\\ud83d\\ude00"'),
    "huge-number-in-unknown-field": raw("x", "1e999"),
    "time-with-offset": make_record(occurred_at="2026-11-23T12:59:00+01:00"),
    "time-with-space": make_record(occurred_at="2026-11-23 11:59:00Z"),
    "time-in-small-letters": make_record(occurred_at="2026-11-23t11:59:00.123456789z"),
    "first-moment": make_record(occurred_at=(NOW - timedelta(days=400)).isoformat()),
    "24-h-ahead": make_record(occurred_at="2026-11-24T12:00:00Z"),
    "event-id-of-64": make_record(event_id="é" * 64),
    "tags-10": make_record(tags=["x" * 64] * 10),
    "long-diagnostic": make_record(diagnostic="x" * 500_000),
    "just-below-1-MB": make_record(x="x" * (1_000_000 - len(make_record(x="")))),
}


@pytest.mark.parametrize("value", VALID.values(), ids=VALID)
def test_what_the_contract_allows_is_one_event(value: bytes) -> None:
    decoded = decode(value)
    assert decoded.errors == []
    assert decoded.indexes == [0]
    assert decoded.events[0]["occurred_at"].tzinfo is UTC


def test_the_last_of_two_equal_keys_counts() -> None:
    assert decode(raw("account_id", '"b"')).events[0]["account_id"] == "b"


def test_an_empty_array_is_neither_event_nor_error() -> None:
    assert decode(b" [ ] ") == DecodedRecord()


def test_a_time_is_the_moment_in_utc() -> None:
    [event] = decode(make_record(occurred_at="2026-11-23T02:00:00.123456789-09:30")).events
    assert event["occurred_at"] == datetime(2026, 11, 23, 11, 30, 0, 123456, tzinfo=UTC)


def test_the_clock_may_be_in_any_zone() -> None:
    now = NOW.astimezone(timezone(timedelta(hours=9)))
    assert decode_record("send", make_record(), now=now, limits=LIMITS).errors == []


def test_each_bad_element_is_one_error_with_its_index_and_bytes() -> None:
    elements = [
        make_record(),
        b"17",
        make_record(event_id=""),
        b"[]",
        make_record(x=deep(20)),
        raw("x", "NaN"),
    ]
    decoded = decode(b"[ " + b" ,\n".join(elements) + b" ]")
    assert decoded.indexes == [0]
    assert [(e.index, e.stage, e.errors[0].code) for e in decoded.errors] == [
        (1, "decode", "not_an_object"),
        (2, "validate", "empty"),
        (3, "decode", "nested_array"),
        (4, "decode", "too_deep"),
        (5, "decode", "not_finite"),
    ]
    assert [e.value for e in decoded.errors] == elements[1:]


@pytest.mark.parametrize("levels", [19, 20], ids=["20-levels", "21-levels"])
def test_the_array_around_events_is_no_level_of_nesting(levels: int) -> None:
    value = make_record(x=deep(levels))
    decoded = decode(b"[" + value + b"]")
    assert decoded.events == decode(value).events
    assert len(decoded.errors) == len(decode(value).errors) == levels - 19


def test_an_array_of_more_elements_than_events_fit_is_one_error() -> None:
    assert only_error(b"[" + b"1," * 400_000 + b"1]") == (None, "decode", "too_many", "")


def test_a_text_of_an_error_never_shows_an_address() -> None:
    [error] = decode(make_record(recipient=["ada@example.com"], client_ip=7), "open").errors
    assert not any("ada" in e.text or "7" in e.text for e in error.errors)


@given(st.sampled_from(["1", '"a"', "null", "[]"]), st.sampled_from(["tags", "x", "smtp_code"]))
def test_a_flood_in_one_field_gives_few_reasons(element: str, field: str) -> None:
    flood = "[" + f"{element}," * 5_000 + element + "]"
    reasons = [reason for error in decode(raw(field, flood)).errors for reason in error.errors]
    assert len(reasons) <= 1


def test_every_reason_is_told_at_once() -> None:
    [error] = decode(make_record(event_id=..., mail_class="x", tags=3)).errors
    assert {e.field for e in error.errors} == {"event_id", "mail_class", "tags"}


# -- properties ----------------------------------------------------------------------------------------------

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
own_fields = [
    "status",
    "action",
    "smtp_code",
    "attempt",
    "method",
    "user_agent",
    "feedback_type",
    "diagnostic",
]
known_fields = [
    *ENVELOPE,
    "schema_version",
    "mail_class",
    "ip_pool",
    "ip_pool_kind",
    "sent_at",
    "tags",
    *own_fields,
]
good_values = st.sampled_from(
    ["accepted", "failed", "delayed", 550, 1, "marketing", "shared", [], ["a"], None, "2026-11-23T10:00:00Z"]
)
objects = st.dictionaries(st.sampled_from([*known_fields, "x"]), good_values | json_values, max_size=4).map(
    lambda fields: make_record(**fields)
)
documents = st.one_of(
    objects,
    json_values.filter(lambda value: not isinstance(value, list)).map(
        lambda value: json.dumps(value).encode()
    ),
    st.sampled_from(
        [value for value in [v for v, _, _ in INVALID.values()] + list(VALID.values()) if len(value) < 5000]
    ),
    st.sampled_from([raw("x", "NaN"), raw("x", '"\\ud800"'), raw("x", "9" * 5000), make_record(x=deep(25))]),
)
kinds = st.sampled_from(EVENT_TYPES)


@settings(max_examples=400)
@given(st.lists(documents, max_size=5), kinds)
@example([make_record(), make_record(x=float("nan")), make_record(colour=1)], "send")
def test_an_array_is_decoded_as_its_elements_alone(values: list[bytes], kind: EventType) -> None:
    together = decode(b"[" + b",".join(values) + b"]", kind)
    alone = [decode(value.strip(), kind) for value in values]
    assert together.events == [event for one in alone for event in one.events]
    assert together.indexes == [place for place, one in enumerate(alone) if one.events]
    assert [(e.index, e.stage, e.errors, e.value) for e in together.errors] == [
        (place, e.stage, e.errors, e.value) for place, one in enumerate(alone) for e in one.errors
    ]


@settings(max_examples=400)
@given(
    st.lists(
        st.none() | st.binary(max_size=50) | documents | st.sampled_from([v for v, _ in POISON.values()]),
        max_size=6,
    ),
    kinds,
)
def test_a_batch_is_decoded_as_its_records_alone(values: list[bytes | None], kind: EventType) -> None:
    batch = decode_batch(kind, values, now=NOW, limits=LIMITS)
    alone = [decode(value, kind) for value in values]
    assert batch.events == [event for one in alone for event in one.events]
    assert batch.records == [place for place, one in enumerate(alone) for _ in one.events]
    assert batch.indexes == [index for one in alone for index in one.indexes]
    assert batch.errors == [(place, error) for place, one in enumerate(alone) for error in one.errors]


@settings(max_examples=600)
@given(
    st.binary()
    | st.text(alphabet='[]{},:"\\ 1aN\x0b\ud83d', max_size=40).map(
        lambda t: t.encode(errors="surrogatepass")
    ),
    kinds,
)
def test_any_bytes_reach_a_named_ending(value: bytes, kind: EventType) -> None:
    decoded = decode(value, kind)
    if not decoded.events and not decoded.errors:
        assert json.loads(value) == []
    if not is_json(value):
        assert (decoded.events, [error.index for error in decoded.errors]) == ([], [None])
    assert all(error.errors and error.errors[0].code and error.errors[0].text for error in decoded.errors)


@settings(max_examples=400)
@given(objects, kinds)
def test_a_row_holds_what_the_model_holds(value: bytes, kind: EventType) -> None:
    """The fast rows and the models are made from one definition."""
    for event in decode(value, kind).events:
        model = MODELS[kind].model_validate_json(value)
        assert with_defaults(kind, event) == model.model_dump()
