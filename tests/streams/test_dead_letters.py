"""Dead letters of roles whose journal stores them: in which life of its topic the record was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import faust
import pytest

from postloop.adapters.errors import UnavailableError
from postloop.adapters.metrics import BlocklistMetrics
from postloop.contracts.deadletter import TOPIC_ID_HEADER, DeadLetterV1, dead_letter
from postloop.contracts.field_errors import FieldError
from postloop.contracts.fields import moment
from postloop_streams import dead_letters
from postloop_streams.dead_letters import JournaledDeadLetters
from postloop_streams.producing import ToPublish


def letter(topic: str, *, value: bytes = b"5") -> DeadLetterV1:
    return dead_letter(
        topic_id="",
        topic=topic,
        partition=0,
        offset=1,
        index=None,
        key=None,
        value=value,
        stage="decode",
        errors=(FieldError("not_an_object", "", "5"),),
        at=moment(0),
    )


class World:
    """A broker that is asked for ids, and what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.published: list[ToPublish] = []
        self.asked: list[list[str]] = []
        self.is_away = False
        self.metrics = BlocklistMetrics()
        monkeypatch.setattr(dead_letters, "publish_many", self._publish)
        self.letters = JournaledDeadLetters(
            cast(faust.App, None),
            "postloop.deadletter",
            topic_ids=self._ids,
            count=self.metrics.dead_letters_total,
        )

    async def _publish(self, app: Any, records: Sequence[ToPublish]) -> None:
        self.published += records

    def _ids(self, topics: list[str]) -> dict[str, str]:
        if self.is_away:
            raise UnavailableError("no broker")
        self.asked.append(topics)
        time.sleep(0.01)
        return {topic: f"id of {topic}" for topic in topics}

    def told(self) -> set[tuple[str, bytes]]:
        return {
            (DeadLetterV1.model_validate_json(one.value or b"").topic, dict(one.headers)[TOPIC_ID_HEADER])
            for one in self.published
        }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_every_dead_letter_says_the_life_of_its_topic_also_beside_others(world: World) -> None:
    topics = [f"t{number}" for number in range(8)]
    await asyncio.gather(*(world.letters.publish([letter(topic)]) for topic in topics))
    assert world.told() == {(topic, f"id of {topic}".encode()) for topic in topics}


async def test_ids_are_not_asked_for_with_each_dead_letter(world: World) -> None:
    for _ in range(3):
        await world.letters.publish([letter("t")])
    assert world.asked == [["t"]]


async def test_a_repeat_has_the_same_id_and_each_is_counted(world: World) -> None:
    for _ in range(2):
        await world.letters.publish([letter("t")])
    assert len({one.key for one in world.published}) == 1
    labels = {"stage": "decode", "code": "not_an_object"}
    assert world.metrics.registry.get_sample_value("postloop_dead_letters_total", labels) == 2


async def test_a_broker_that_does_not_tell_ids_is_tried_again_by_who_asks(world: World) -> None:
    world.is_away = True
    with pytest.raises(OSError, match="no broker"):
        await world.letters.publish([letter("t")])
    assert not world.published


async def test_what_is_too_large_for_the_topic_says_that_it_stands_where_it_was_read(world: World) -> None:
    await world.letters.publish([letter("t", value=b"x" * 2_000_000)])
    (one,) = world.published
    told = DeadLetterV1.model_validate_json(one.value or b"")
    assert told.value is None
    assert [error.code for error in told.errors] == ["not_an_object", "value_omitted"]
    assert "where it was read" in told.errors[-1].text
