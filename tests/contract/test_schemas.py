"""The published schemas and samples say what the models do."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

import postloop_schemas
from postloop.contracts.address import canonical_recipient
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.decode import decode_record
from postloop.contracts.events import MODELS
from postloop.contracts.field_errors import field_errors
from postloop.contracts.schema_export import SINGLE_MODELS, export_schemas
from postloop.domain.event_types import DEADLETTER_TOPIC, EVENT_TYPES, INPUT_TOPICS, EventType

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEYOND_SCHEMA = {
    "not_json",
    "not_utf8",
    "not_finite",
    "too_deep",
    "too_large",
    "half_character",
    "number_too_large",
}
MOMENTS = {"too_early", "too_old", "in_future"}
EVENT_SAMPLES = [
    pytest.param(kind, sample, id=f"{kind}-{sample.reason}")
    for kind in EVENT_TYPES
    for sample in postloop_schemas.samples(INPUT_TOPICS[kind])
]


def is_valid(topic: str, value: Any) -> bool:
    return Draft202012Validator(postloop_schemas.topic_schema(topic)).is_valid(value)


def test_the_published_schemas_are_those_of_the_models() -> None:
    """When this fails: `postloop schemas export`, and read the difference, for a contract only grows."""
    published = {
        f"{name}.json": postloop_schemas.topic_schema(name) for name in postloop_schemas.topic_names()
    }
    assert published == export_schemas()


@pytest.mark.parametrize("name", postloop_schemas.topic_names())
def test_a_published_schema_is_a_schema(name: str) -> None:
    schema = postloop_schemas.topic_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:postloop:schema:{name}"


@pytest.mark.parametrize(("kind", "sample"), EVENT_SAMPLES)
def test_a_sample_ends_as_it_says(kind: EventType, sample: postloop_schemas.Sample) -> None:
    decoded = decode_record(kind, sample.value.encode(), now=NOW)
    assert sample.accepted == (not decoded.errors)
    if not sample.accepted:
        error = decoded.errors[0].errors[0]
        assert (error.code, error.field) == (sample.code, sample.field)


@pytest.mark.parametrize(("kind", "sample"), EVENT_SAMPLES)
def test_the_schema_judges_a_sample_as_the_models_do(
    kind: EventType, sample: postloop_schemas.Sample
) -> None:
    if sample.code not in BEYOND_SCHEMA | MOMENTS:
        assert is_valid(INPUT_TOPICS[kind], json.loads(sample.value)) == sample.accepted


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_topic_has_a_sample_with_every_field(kind: EventType) -> None:
    known = set(MODELS[kind].model_fields)
    found = [json.loads(s.value) for s in postloop_schemas.samples(INPUT_TOPICS[kind]) if s.accepted]
    assert any(isinstance(value, dict) and set(value) == known for value in found)


@pytest.mark.parametrize(
    "sample", postloop_schemas.samples(DEADLETTER_TOPIC), ids=lambda sample: sample.reason
)
def test_a_dead_letter_sample_ends_as_it_says(sample: postloop_schemas.Sample) -> None:
    assert is_valid(DEADLETTER_TOPIC, json.loads(sample.value)) == sample.accepted
    if sample.accepted:
        assert DeadLetterV1.model_validate_json(sample.value).to_bytes().decode() == sample.value
    else:
        with pytest.raises(ValidationError) as caught:
            DeadLetterV1.model_validate_json(sample.value)
        [error] = field_errors(caught.value)
        assert (error.code, error.field) == (sample.code, sample.field)


TIMES = ["2026-11-23T11:59:00Z", "2026-11-23 10:00:00.5+01:00", "2026-11-23T11:59:00", "1795435140", ""]
scalars = st.none() | st.booleans() | st.integers(-2, 1001) | st.text(max_size=3) | st.sampled_from(TIMES)
words = st.sampled_from(["transactional", "shared", "accepted", "rejected", "failed", "delayed", "unknown"])
values = (
    scalars
    | words
    | st.lists(scalars, max_size=12)
    | st.dictionaries(st.text(max_size=2), scalars, max_size=2)
)


@settings(max_examples=600)
@given(st.data(), st.sampled_from(EVENT_TYPES))
def test_the_schema_and_the_models_refuse_the_same_objects(data: st.DataObject, kind: EventType) -> None:
    [sample, *_] = postloop_schemas.samples(INPUT_TOPICS[kind])
    names = st.sampled_from([*MODELS[kind].model_fields, "unknown_field"])
    event = {**json.loads(sample.value), **data.draw(st.dictionaries(names, values, max_size=2))}
    decoded = decode_record(kind, json.dumps(event).encode(), now=NOW)
    assert is_valid(INPUT_TOPICS[kind], event) == (not decoded.errors)


@pytest.mark.parametrize(
    ("topic", "sample"),
    [(topic, sample) for topic in SINGLE_MODELS for sample in postloop_schemas.samples(topic)],
    ids=lambda value: value if isinstance(value, str) else value.reason,
)
def test_a_sample_of_an_output_ends_as_it_says(topic: str, sample: postloop_schemas.Sample) -> None:
    validator = Draft202012Validator(postloop_schemas.topic_schema(topic))
    assert validator.is_valid(json.loads(sample.value)) is sample.accepted
    try:
        SINGLE_MODELS[topic].model_validate_json(sample.value)
    except ValidationError as error:
        assert not sample.accepted
        first = field_errors(error)[0]
        assert (first.code, first.field) == (sample.code, sample.field)
    else:
        assert sample.accepted


@pytest.mark.parametrize(
    "sample", postloop_schemas.recipient_samples(), ids=lambda sample: ascii(sample.input)
)
def test_a_recipient_sample_says_what_our_own_code_does(sample: postloop_schemas.RecipientSample) -> None:
    found = canonical_recipient(sample.input)
    assert (found.canonical, found.valid) == (sample.canonical, sample.valid)
    text = found.canonical.encode()
    hashed = hmac.new(postloop_schemas.RECIPIENT_TEST_KEY, text, hashlib.sha256).hexdigest()
    assert sample.hmac_sha256 == (hashed if sample.valid else None)


def test_recipient_samples_cover_what_others_get_wrong() -> None:
    samples = postloop_schemas.recipient_samples()
    assert len({sample.input for sample in samples}) == len(samples) == 200
    valid = [sample for sample in samples if sample.valid]
    kinds = {
        "refused": len(samples) - len(valid),
        "as it is": sum(sample.input == sample.canonical for sample in valid),
        "letters": sum(sample.input.strip() != sample.input.strip().lower() for sample in valid),
        "blanks": sum(sample.input != sample.input.strip() for sample in valid),
        "international domains": sum("xn--" in sample.canonical for sample in valid),
        "quotes": sum(sample.input.startswith('"') for sample in valid),
        "other scripts": sum(not sample.canonical.isascii() for sample in valid),
        "tags": sum("+" in sample.canonical for sample in valid),
        "address literals": sum("@[" in sample.canonical for sample in valid),
    }
    assert all(count >= 5 for count in kinds.values()), kinds


def test_recipient_samples_are_none_of_a_topic() -> None:
    with pytest.raises(KeyError, match="recipients"):
        postloop_schemas.samples("recipients")


def test_an_unknown_name_has_neither_schema_nor_samples() -> None:
    for load in (postloop_schemas.topic_schema, postloop_schemas.samples):
        with pytest.raises(KeyError, match=r"email\.click"):
            load("email.click")


def test_migrations_come_in_the_order_of_their_numbers() -> None:
    names = [name for name, _ in postloop_schemas.migrations()]
    assert names == sorted(names)
    assert postloop_schemas.migrations("no-such-database") == ()
