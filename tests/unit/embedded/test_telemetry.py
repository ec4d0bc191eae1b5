"""Log lines: one shape, constant events, nobody's address."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters import telemetry
from postloop.settings import Settings


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def json_log(level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    telemetry.configure(Settings(log_format="json", log_level=level), stream=stream)  # type: ignore[arg-type]
    return stream


def test_an_event_is_one_json_line_with_its_fields() -> None:
    stream = json_log()
    telemetry.get_logger("recorder", role="recorder").info("run_stored", row_count=3)
    (line,) = lines(stream)
    assert (line["event"], line["row_count"], line["role"], line["level"]) == (
        "run_stored",
        3,
        "recorder",
        "info",
    )


def test_a_librarys_line_keeps_its_text_apart_from_our_events() -> None:
    stream = json_log()
    logging.getLogger("faust.app").warning("lost %s", "group")
    (line,) = lines(stream)
    assert (line["event"], line["text"], line["logger"]) == ("library_message", "lost group", "faust.app")


def test_a_warning_becomes_a_log_line() -> None:
    stream = json_log()
    warnings.warn("old api", stacklevel=1)
    assert "old api" in str(lines(stream)[0]["text"])


def test_lines_below_the_level_are_not_written() -> None:
    stream = json_log("warning")
    telemetry.get_logger("x").info("too_fine")
    assert not lines(stream)


def test_client_libraries_do_not_tell_their_daily_work() -> None:
    stream = json_log()
    logging.getLogger("aiokafka.consumer").info("fetching")
    assert not lines(stream)


@pytest.mark.parametrize("library", ["clickhouse_connect.driver", "urllib3.connectionpool"])
def test_a_failed_request_is_not_told_by_a_library_beside_us_unless_somebody_debugs(library: str) -> None:
    quiet = json_log()
    logging.getLogger(library).warning("Unexpected Http Driver Exception", exc_info=ValueError())
    assert not lines(quiet)
    debugged = json_log("debug")
    logging.getLogger(library).warning("Unexpected Http Driver Exception")
    assert len(lines(debugged)) == 1


def test_an_auto_format_writes_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    telemetry.configure(Settings(log_format="auto"), stream=stream)
    telemetry.get_logger("x").info("fact")
    assert lines(stream)[0]["event"] == "fact"


@pytest.mark.parametrize("field", ["recipient", "recipient_raw", "kafka_password", "secret", "value_base64"])
def test_fields_that_hold_an_address_or_a_secret_are_hidden(field: str) -> None:
    assert telemetry.hide_private(None, "", {field: "x"}) == {field: telemetry.HIDDEN}


def test_the_domain_of_a_recipient_may_be_logged() -> None:
    assert (
        telemetry.hide_private(None, "", {"recipient_domain": "gmail.com"})["recipient_domain"] == "gmail.com"
    )


words = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=20)


@given(local=words, domain=words, before=words, after=words)
def test_an_address_inside_a_text_is_hidden(local: str, domain: str, before: str, after: str) -> None:
    text = f"{before} <{local}@{domain}.com>: {after}"
    hidden = str(telemetry.hide_private(None, "", {"text": text})["text"])
    assert "@" not in hidden
    assert hidden.startswith(before)
    assert hidden.endswith(after)
