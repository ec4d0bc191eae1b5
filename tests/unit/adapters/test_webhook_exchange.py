"""Reading answers: the same in whatever pieces they arrive, bounded whatever is sent, and nothing behind them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.webhook_exchange import (
    MAX_HEADER_COUNT,
    MAX_LINE_BYTES,
    Answer,
    AnswerReader,
    BadAnswerError,
    ConnectionLostError,
)

KEPT_BYTES = 40
HEAD = b"HTTP/1.1 200 OK\r\n"


def read(*pieces: bytes, ends: bool = False) -> tuple[Answer, str, bool]:
    """Return the answer, how it ended, and whether the connection may be used again."""
    reader, answer = AnswerReader(kept_bytes=KEPT_BYTES), Answer()
    reader.begin(answer)
    try:
        for place, piece in enumerate(pieces):
            reader.feed(piece)
            if reader.is_over:
                return answer, "whole", reader.is_clean and place == len(pieces) - 1
        if ends:
            reader.feed_end()
            return answer, "whole", reader.is_clean
    except BadAnswerError:
        return answer, "bad", False
    except ConnectionLostError:
        return answer, "lost", False
    return answer, "open", False


def in_pieces(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[first:last] for first, last in pairwise(ends)]


names = st.sampled_from(["X-A", "Retry-After", "connection", "Set-Cookie", "Content-Type"])
values = st.sampled_from(["", "a", "120", "close", "keep-alive", "v" * 90, "ü"])
headers = st.lists(
    st.tuples(names, values).map(lambda pair: f"{pair[0]}: {pair[1]}\r\n".encode()), max_size=5
)
interim = st.sampled_from(
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nRetry-After: 9\r\nLink: x\r\n\r\n"]
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw all that a connection says: answers in every form, whole or not, with and without something behind."""
    status = draw(st.sampled_from([200, 204, 304, 404, 429, 503, 599]))
    body = draw(st.binary(max_size=60))
    version = draw(st.sampled_from([b"1.0", b"1.1"]))
    fields = b"".join(draw(headers))
    match draw(st.sampled_from(["length", "chunked", "end", "both"])):
        case "length":
            fields += b"Content-Length: %d\r\n" % len(body)
        case "chunked":
            cut = draw(st.integers(0, len(body)))
            fields += b"Transfer-Encoding: chunked\r\n"
            chunks = [part for part in (body[:cut], body[cut:]) if part]
            body = b"".join(b"%x;e=1\r\n%b\r\n" % (len(part), part) for part in chunks)
            body += b"0\r\n" + b"".join(draw(headers)) + b"\r\n"
        case "both":
            fields += b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"
    first = b"".join(draw(st.lists(interim, max_size=2)))
    behind = draw(st.sampled_from([b"", b"", b"\r\n", b"x", b"HTTP/1.1 500 X\r\nRetry-After: 1\r\n\r\n"]))
    whole = first + b"HTTP/%b %d X\r\n" % (version, status) + fields + b"\r\n" + body + behind
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


@given(said=answers(), places=st.lists(st.integers(0, 2_000), max_size=6), ends=st.booleans())
def test_an_answer_is_the_same_in_whatever_pieces_it_arrives(
    said: bytes, places: list[int], ends: bool
) -> None:
    at_once = read(said, ends=ends)
    assert read(*in_pieces(said, places), ends=ends) == at_once
    assert read(*(bytes([byte]) for byte in said), ends=ends) == at_once


@given(pieces=st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([HEAD, b"\r\n", b"0\r\n\r\n"])))
def test_whatever_comes_has_one_of_the_named_ends(pieces: list[bytes]) -> None:
    answer, _, _ = read(*pieces, ends=True)
    assert len(answer.body) <= KEPT_BYTES


@given(behind=st.binary(min_size=1, max_size=80))
def test_whatever_stands_behind_an_answer_ends_its_connection_and_changes_nothing_of_it(
    behind: bytes,
) -> None:
    said = HEAD + b"Content-Length: 2\r\n\r\nok"
    assert read(said) == (Answer(200, "", bytearray(b"ok")), "whole", True)
    assert read(said + behind) == (Answer(200, "", bytearray(b"ok")), "whole", False)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 204 X\r\nContent-Length: 19\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 304 X\r\nContent-Length: 19\r\n\r\n", id="304"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked"),
        pytest.param(HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n", id="close"),
    ],
)
def test_a_second_answer_is_not_mixed_with_the_first(head: bytes) -> None:
    answer, end, is_clean = read(head + b"HTTP/1.1 500 X\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nbad")
    assert (answer.status < 500, answer.body, answer.retry_after) == (True, b"", "")
    assert (end, is_clean) == ("whole", False)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nok", id="two-lengths"),
        pytest.param(HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", id="one-length-twice"),
        pytest.param(HEAD + b"Content-Length: 2, 2\r\n\r\nok", id="a-list-of-lengths"),
        pytest.param(HEAD + b"Content-Length: -2\r\n\r\nok", id="less-than-nothing"),
        pytest.param(HEAD + b"Content-Length: +2\r\n\r\nok", id="a-sign"),
        pytest.param(HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nok", id="more-than-64-bits"),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", id="length-and-chunks"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", id="chunks-and-length"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2x\r\nok\r\n", id="no-size-of-a-chunk"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", id="an-endless-chunk"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nok\r\n", id="a-chunk-longer-than-it-says"
        ),
        pytest.param(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="another-protocol"),
        pytest.param(b"HTTP/1.1 101 X\r\n\r\n", id="no-protocol"),
        pytest.param(b"HTTP/1.1 099 X\r\n\r\n", id="status-below-100"),
        pytest.param(b"HTTP/1.1 2000 X\r\n\r\n", id="status-of-four-digits"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="a-request"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01", id="tls"),
    ],
)
def test_what_has_two_readings_or_none_is_refused(said: bytes) -> None:
    assert read(said)[1] == "bad"


@pytest.mark.parametrize(
    ("line_bytes", "count", "end"),
    [
        pytest.param(MAX_LINE_BYTES, MAX_HEADER_COUNT - 1, "whole", id="as-much-as-may-be"),
        pytest.param(MAX_LINE_BYTES + 1, 1, "bad", id="too-long"),
        pytest.param(10, MAX_HEADER_COUNT, "bad", id="too-many"),
    ],
)
def test_headers_are_bounded(line_bytes: int, count: int, end: str) -> None:
    line = b"X: " + b"y" * (line_bytes - 1) + b"\r\n"
    assert read(HEAD + line * count + b"Content-Length: 0\r\n\r\n")[1] == end


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        pytest.param(b"", b"\r\n", id="blank-lines"),
        pytest.param(b"HTTP/1.1 200 ", b"y", id="reason"),
        pytest.param(HEAD, b"X", id="name"),
        pytest.param(HEAD + b"X: ", b"y", id="value"),
        pytest.param(HEAD + b"X:", b" ", id="blanks"),
        pytest.param(HEAD, b"X: y\r\n", id="headers"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"e", id="extension-of-a-chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"y", id="value-of-a-trailer"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", id="trailers"),
    ],
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(begins: bytes, goes_on: bytes) -> None:
    pieces = [begins] if begins else []
    pieces += [goes_on * 100] * (2 * MAX_LINE_BYTES // (100 * len(goes_on)) + 2)
    assert read(*pieces)[1] == "bad"


@pytest.mark.parametrize(
    ("said", "end"),
    [
        pytest.param(HEAD + b"\r\n", "whole", id="until-the-end"),
        pytest.param(HEAD + b"\r\npart", "whole", id="until-the-end-with-body"),
        pytest.param(HEAD + b"Transfer-Encoding: identity\r\n\r\npart", "whole", id="not-chunked"),
        pytest.param(HEAD, "lost", id="headers"),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\npart", "lost", id="length"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "lost", id="chunks"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", "lost", id="only-100"),
        pytest.param(b"\r\n", "lost", id="nothing"),
    ],
)
def test_the_end_of_the_connection_ends_only_what_it_may_end(said: bytes, end: str) -> None:
    assert read(said)[1] == "open"
    assert read(said, ends=True)[1:] == (end, False)


def test_headers_of_an_answer_before_the_answer_and_of_trailers_are_not_its_own() -> None:
    before = b"HTTP/1.1 103 X\r\nRetry-After: 1\r\n\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: 2\r\n\r\n"
    answer, end, is_clean = read(before + b"HTTP/1.1 503 X\r\n" + chunked)
    assert (answer.status, answer.retry_after, end, is_clean) == (503, "", "whole", True)


def test_headers_of_each_answer_are_counted_for_themselves() -> None:
    many = b"X: y\r\n" * 60
    assert (
        read(b"HTTP/1.1 103 X\r\n" + many + b"\r\n" + HEAD + many + b"Content-Length: 0\r\n\r\n")[1]
        == "whole"
    )


def test_one_reader_reads_one_answer_after_the_other() -> None:
    reader = AnswerReader(kept_bytes=KEPT_BYTES)
    for status in (200, 404, 204, 503):
        answer = Answer()
        reader.begin(answer)
        reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        assert (answer.status, reader.is_over, reader.is_clean) == (status, True, True)
