"""Bodies survive every encoding, and damaged or huge ones are errors."""

import gzip
import io
import zlib

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from postloop.embedded.chserver.compression import choose_encoding, decoded, encoder
from postloop.embedded.chserver.errors import QueryError

ENCODINGS = ["gzip", "deflate", "lz4", "zstd"]


@given(st.lists(st.binary(max_size=2000), max_size=8), st.sampled_from([None, *ENCODINGS]))
def test_what_is_encoded_piece_by_piece_decodes_to_the_whole(
    pieces: list[bytes], encoding: str | None
) -> None:
    squeeze = encoder(encoding)
    sent = b"".join([*(squeeze.feed(piece) for piece in pieces), squeeze.finish()])
    assert decoded(sent, encoding or "", max_bytes=100_000) == b"".join(pieces)


@given(st.binary(min_size=1, max_size=2000))
def test_several_frames_are_one_body(data: bytes) -> None:
    for name, compress in (
        ("gzip", gzip.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", zstandard.compress),
    ):
        assert decoded(compress(data) + compress(data), name, max_bytes=10_000) == data + data


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(min_size=1, max_size=200))
def test_damaged_data_is_an_error_and_never_less_data(encoding: str, data: bytes) -> None:
    squeeze = encoder(encoding)
    sent = squeeze.feed(data) + squeeze.finish()
    for cut in (sent[: len(sent) // 2], b"\x00" + sent):
        with pytest.raises(QueryError) as caught:
            decoded(cut, encoding, max_bytes=10_000)
        assert caught.value.code == 271


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_that_unpacks_above_the_limit_is_refused(encoding: str) -> None:
    squeeze = encoder(encoding)
    bomb = squeeze.feed(bytes(5_000_000)) + squeeze.finish()
    assert len(bomb) < 50_000
    with pytest.raises(QueryError, match="larger than 1000000 bytes"):
        decoded(bomb, encoding, max_bytes=1_000_000)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(QueryError, match="'br'"):
        decoded(b"x", "br", max_bytes=10)


def test_bare_deflate_is_understood() -> None:
    compressor = zlib.compressobj(wbits=-15)
    assert decoded(compressor.compress(b"abc") + compressor.flush(), "deflate", max_bytes=10) == b"abc"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("zstd,lz4", "lz4"),
        ("lz4;q=0, gzip;q=0.5", "gzip"),
        ("GZIP", "gzip"),
    ],
)
def test_the_answer_is_encoded_as_the_client_accepts(accepted: str, encoding: str | None) -> None:
    assert choose_encoding(accepted) == encoding


def test_an_empty_answer_is_still_a_valid_gzip_file() -> None:
    assert gzip.GzipFile(fileobj=io.BytesIO(encoder("gzip").finish())).read() == b""
