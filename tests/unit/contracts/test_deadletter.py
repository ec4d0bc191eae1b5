"""Dead letters: nothing of the original is lost, and a replay repeats the id."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.deadletter import DeadLetterV1, dead_letter, dead_letter_id, max_dead_letter_bytes
from postloop.contracts.decode import decode_record
from postloop.contracts.field_errors import FieldError
from tests.unit.contracts.conftest import NOW

places = st.fixed_dictionaries(
    {
        "topic_id": st.sampled_from(["t1", "t2"]),
        "topic": st.sampled_from(["email.send", "email.open"]),
        "partition": st.integers(0, 12),
        "offset": st.integers(0, 12),
        "index": st.none() | st.integers(0, 12),
    }
)
ERROR = FieldError("missing", "event_id", "event_id is required")


@given(places, places)
def test_the_id_is_the_place(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (dead_letter_id(**one) == dead_letter_id(**other)) == (one == other)


def test_the_id_never_changes() -> None:
    """Ids are published: another spelling of the place would repeat every dead letter."""
    found = dead_letter_id(topic_id="life", topic="email.send", partition=1, offset=2, index=None)
    assert str(found) == "c244b457-4a70-5bab-b682-8e1f30053237"


@given(places, st.none() | st.binary(), st.none() | st.binary())
def test_what_is_published_can_be_read_back_whole(
    place: dict[str, Any], key: bytes | None, value: bytes | None
) -> None:
    letter = dead_letter(**place, key=key, value=value, stage="validate", errors=(ERROR,), at=NOW)
    again = DeadLetterV1.model_validate_json(letter.to_bytes())
    assert again == letter
    assert (again.key, again.value) == (key, value)


@given(st.binary(max_size=2000))
def test_the_largest_dead_letter_fits_its_topic(value: bytes) -> None:
    for error in decode_record("send", value, now=NOW).errors:
        letter = dead_letter(
            topic_id="",
            topic="t" * 249,
            partition=9,
            offset=2**63 - 1,
            index=None,
            key=b"",
            value=error.value,
            stage=error.stage,
            errors=error.errors,
            at=NOW,
        )
        assert len(letter.to_bytes()) <= max_dead_letter_bytes(max_record_bytes=len(value))


def test_the_form_on_the_wire() -> None:
    place: dict[str, Any] = {
        "topic_id": "life",
        "topic": "email.send",
        "partition": 1,
        "offset": 2,
        "index": 3,
    }
    letter = dead_letter(**place, key=None, value=b"{}", stage="validate", errors=(ERROR,), at=NOW)
    assert letter.to_bytes() == (
        b'{"schema_version":1,"event_id":"' + letter.event_id.encode() + b'","topic":"email.send",'
        b'"partition":1,"offset":2,"index":3,"key_base64":null,"value_base64":"e30=","stage":"validate",'
        b'"errors":[{"code":"missing","field":"event_id","text":"event_id is required"}],'
        b'"at":"2026-11-23T12:00:00.000Z"}'
    )
