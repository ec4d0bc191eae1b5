"""docs/events.md names every field and every code, and its producers produce valid events."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from postloop.contracts import decode, field_errors
from postloop.contracts.decode import decode_record
from postloop.contracts.events import MODELS
from postloop.domain.event_types import EVENT_TYPES, INPUT_TOPICS, OUTCOMES, event_type_of
from tests.unit.contracts.conftest import NOW

PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([^`\n]+)`", PAGE))


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_topic_and_field_is_described(kind: Any) -> None:
    assert {INPUT_TOPICS[kind], *MODELS[kind].model_fields} <= WORDS


def test_every_code_and_outcome_is_described() -> None:
    texts = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in (decode, field_errors)]
    codes = {code for text in texts for code in re.findall(r'FieldError\(\s*"(\w+)"', text)}
    codes |= {code for code, _ in field_errors._TEXTS.values()}
    codes |= set(re.findall(r'_whole\(\w+(?:"")?, "(\w+)"', texts[0]))
    assert len(codes) >= 18
    assert codes | {"wrong_value"} | set(OUTCOMES) <= WORDS


def test_the_python_producer_sends_a_valid_event(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, bytes, bytes]] = []

    class Producer:
        def __init__(self, **options: Any) -> None:
            assert options["acks"] == "all"

        def send(self, topic: str, *, key: bytes, value: bytes) -> None:
            sent.append((topic, key, value))

        def flush(self) -> None:
            pass

    kafka = ModuleType("kafka")
    kafka.KafkaProducer = Producer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kafka", kafka)
    exec(block("python"), {})
    [(topic, key, value)] = sent
    [event] = decode_record(event_type_of(topic), value, now=datetime.now(UTC)).events
    assert key.decode() == event["recipient"]


def test_the_lines_of_the_console_producer_are_valid_events() -> None:
    lines = [line for line in block("sh").splitlines() if "|{" in line]
    assert len(lines) == 2
    for line in lines:
        key, _, value = line.partition("|")
        [event] = decode_record("bounce", value.encode(), now=NOW).events
        assert event["recipient"] == key
