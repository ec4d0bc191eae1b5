"""What is signed and how it is written, against published vectors."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.webhook.signing import (
    MAX_SECRET_BYTES,
    MIN_SECRET_BYTES,
    SIGNATURE_HEADER,
    HmacSigner,
    attempt_headers,
    ed25519_public_key,
    ed25519_seed,
    ed25519_signature,
    new_secret,
    secret_key,
    signatures_of,
    signed_content,
)

# The vector that the libraries of Standard Webhooks and the server of Svix test with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

keys = st.binary(min_size=MIN_SECRET_BYTES, max_size=MAX_SECRET_BYTES)
ids = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)


def test_the_published_vector_is_reproduced_to_the_byte() -> None:
    signer = HmacSigner(secret_key(SECRET))
    headers = attempt_headers(message_id=MESSAGE_ID, timestamp_s=TIMESTAMP_S, body=BODY, signers=[signer])
    assert headers == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP_S),
        "webhook-signature": SIGNATURE,
    }


def test_while_secrets_are_changed_both_sign_the_newest_first() -> None:
    signers = [HmacSigner(b"n" * 24), HmacSigner(secret_key(SECRET))]
    headers = attempt_headers(message_id=MESSAGE_ID, timestamp_s=TIMESTAMP_S, body=BODY, signers=signers)
    newest, oldest = headers[SIGNATURE_HEADER].split(" ")
    assert oldest == SIGNATURE
    assert newest != SIGNATURE


@given(keys)
def test_a_secret_is_read_as_it_was_written_with_and_without_padding(key: bytes) -> None:
    text = new_secret(key)
    assert secret_key(text) == secret_key(text.rstrip("=")) == key


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id="no-prefix"),
        pytest.param("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id="prefix-in-capitals"),
        pytest.param("whsec_MfKQ9r8GKYqrTwjU PD8ILPZIo2LaLaSw", id="blank"),
        pytest.param("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", id="cut"),
        pytest.param("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", id="other-alphabet"),
        pytest.param("whsec_" + "é" * 32, id="not-ascii"),
        pytest.param("whsec_", id="empty"),
        pytest.param("whsec_" + b64encode(b"x" * 23).decode(), id="too-short"),
        pytest.param("whsec_" + b64encode(b"x" * 65).decode(), id="too-long"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(DataError) as refused:
        secret_key(text)
    assert refused.value.code in ("secret_form", "secret_length")
    assert text[6:] not in str(refused.value) or text == "whsec_"


@given(st.binary(min_size=0, max_size=100))
def test_a_key_of_another_length_than_24_to_64_bytes_is_never_made(key: bytes) -> None:
    if MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        assert new_secret(key)
    else:
        with pytest.raises(DataError, match=f": {len(key)}"):
            new_secret(key)


@given(ids, st.integers(0, 2**40), st.binary(), ids, st.integers(0, 2**40), st.binary())
def test_two_different_requests_are_never_signed_alike(
    id_a: str, time_a: int, body_a: bytes, id_b: str, time_b: int, body_b: bytes
) -> None:
    same = (id_a, time_a, body_a) == (id_b, time_b, body_b)
    assert (signed_content(id_a, time_a, body_a) == signed_content(id_b, time_b, body_b)) == same


@pytest.mark.parametrize("message_id", ["", "msg.1", "msg 1", "msg_1\n", "msg_é", "m" * 129])
def test_an_id_that_could_be_read_in_two_ways_is_refused(message_id: str) -> None:
    with pytest.raises(DataError, match="webhook id"):
        signed_content(message_id, 1, b"")


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(DataError, match="one secret at least"):
        attempt_headers(message_id=MESSAGE_ID, timestamp_s=TIMESTAMP_S, body=BODY, signers=[])


@given(st.lists(st.binary(min_size=1, max_size=64), max_size=5), st.text())
def test_every_signature_is_found_again_whatever_stands_beside_it(
    signatures: list[bytes], other: str
) -> None:
    header = " ".join(
        [ed25519_signature(s) for s in signatures] + [f"v2,{other}", "v1a", other.replace("v1a", "")]
    )
    assert signatures_of(header, is_ed25519=True)[: len(signatures)] == signatures


@pytest.mark.parametrize("size_bytes", [0, 31, 33, 63, 65])
def test_an_ed25519_key_has_one_length_only(size_bytes: int) -> None:
    text = b64encode(b"k" * size_bytes).decode()
    with pytest.raises(DataError, match="signing key"):
        ed25519_seed("whsk_" + text)
    with pytest.raises(DataError, match="public key"):
        ed25519_public_key("whpk_" + text)


def test_a_key_never_shows_in_the_representation_of_what_holds_it() -> None:
    assert "kkkk" not in repr(HmacSigner(b"k" * 24))
