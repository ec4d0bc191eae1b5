"""Errors arrive with ClickHouse's number, name and HTTP status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.errors import QueryError, from_engine


@given(st.text())
def test_any_message_of_the_engine_becomes_an_error(message: str) -> None:
    error = from_engine(RuntimeError(message))
    assert 400 <= error.status <= 599
    assert error.body("1.2").startswith(f"Code: {error.code}. DB::Exception: ")


@given(
    st.integers(min_value=1, max_value=2000),
    st.text(alphabet=st.characters(exclude_characters="()"), min_size=1),
)
def test_number_and_name_survive(code: int, text: str) -> None:
    error = from_engine(RuntimeError(f"Code: {code}. DB::Exception: {text} (SOME_NAME)"))
    assert (error.code, error.name, error.text) == (code, "SOME_NAME", text.strip())


def test_a_message_that_is_not_text_keeps_its_number() -> None:
    raw = b"Code: 6. DB::Exception: Cannot parse '\x80\xff' (CANNOT_PARSE_TEXT)"
    error = from_engine(UnicodeDecodeError("utf-8", raw, 39, 40, "invalid start byte"))
    assert (error.code, error.name, error.status) == (6, "CANNOT_PARSE_TEXT", 400)


def test_a_message_that_python_lost_is_known_as_lost() -> None:
    assert errors.is_wordless(RuntimeError())
    assert errors.is_wordless(RuntimeError("Streaming query failed: "))
    assert not errors.is_wordless(RuntimeError("Code: 6. DB::Exception: x (CANNOT_PARSE_TEXT)"))
    assert not errors.is_wordless(UnicodeDecodeError("utf-8", b"\x80", 0, 1, "invalid start byte"))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (62, 400), (47, 404), (60, 404), (81, 404), (115, 404), (48, 501), (159, 408), (194, 401), (516, 403),
        (497, 403), (202, 503), (395, 500), (241, 500), (394, 500),
    ],
)  # fmt: skip
def test_the_status_is_the_one_of_clickhouse(code: int, status: int) -> None:
    assert QueryError(code, "x").status == status


def test_our_own_errors_have_names() -> None:
    assert QueryError(errors.TOO_MANY_QUERIES, "x").body("26.5") == (
        "Code: 202. DB::Exception: x (TOO_MANY_SIMULTANEOUS_QUERIES) (version 26.5)\n"
    )
