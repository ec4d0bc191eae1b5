"""Events of the blocklist that are written without their models say exactly what the models would."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.blocklist import (
    BlocklistExpireV1,
    BlocklistInsertV1,
    RecipientForm,
    expire_bytes,
    insert_bytes,
)
from postloop.contracts.fields import moment, rfc3339, rfc3339_of
from postloop.domain.blocklist import Block, Blocked, Released, Told
from postloop.domain.blocklist.entry import ReleaseCause

MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)  # the years 1 to 9999
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FORMS = st.sampled_from(get_args(RecipientForm))

BLOCKS = st.builds(
    Block,
    reason=TEXTS,
    cause_account_ids=st.lists(TEXTS, max_size=3).map(tuple),
    source_event_ids=st.lists(TEXTS, max_size=3).map(tuple),
    smtp_text=TEXTS,
    rule=TEXTS,
    rule_version=TEXTS,
    starts_ms=MOMENTS,
    expires_ms=st.none() | MOMENTS,
)
TOLD = st.builds(
    Told,
    entry_id=st.uuids().map(str),
    event_id=st.uuids().map(str),
    change=st.sampled_from(["inserted", "extended"]),
    inserted_ms=MOMENTS,
    changed_ms=MOMENTS,
    block=BLOCKS,
)


@given(st.builds(Blocked, scope=TEXTS, recipient=TEXTS, provider=TEXTS, told=TOLD), FORMS)
def test_an_insert_is_the_bytes_of_its_model(change: Blocked, form: RecipientForm) -> None:
    written = insert_bytes(change, form=form)
    event = BlocklistInsertV1.model_validate_json(written)
    assert event.model_dump_json().encode() == written
    assert (event.event_id, event.recipient, event.recipient_form) == (
        change.told.event_id,
        change.recipient,
        form,
    )


@given(
    st.builds(
        Released,
        scope=TEXTS,
        recipient=TEXTS,
        provider=TEXTS,
        told=TOLD,
        event_id=st.uuids().map(str),
        cause=st.sampled_from(get_args(ReleaseCause)),
        expired_ms=MOMENTS,
    ),
    FORMS,
)
def test_an_expire_is_the_bytes_of_its_model(change: Released, form: RecipientForm) -> None:
    written = expire_bytes(change, form=form)
    event = BlocklistExpireV1.model_validate_json(written)
    assert event.model_dump_json().encode() == written
    assert (event.event_id, event.entry_id, event.cause) == (
        change.event_id,
        change.told.entry_id,
        change.cause,
    )


@given(MOMENTS)
def test_a_moment_is_written_the_same_both_ways(ms: int) -> None:
    assert rfc3339_of(ms) == rfc3339(moment(ms))
