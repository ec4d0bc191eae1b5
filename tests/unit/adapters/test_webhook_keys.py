"""Keys of webhooks against published vectors and somebody else's verifier."""

from base64 import b64decode
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.webhook_keys import (
    ed25519_is_valid,
    generate_ed25519,
    generate_secret,
    signer_of,
)
from postloop.domain.errors import DataError
from postloop.domain.webhook.signing import (
    SIGNATURE_HEADER,
    attempt_headers,
    new_secret,
    secret_key,
    signed_content,
)

# The vector of Svix' server, test_asymmetric_key_signing.
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def test_the_published_ed25519_vector_is_reproduced_to_the_byte() -> None:
    headers = attempt_headers(
        message_id=MESSAGE_ID, timestamp_s=1_614_265_330, body=BODY, signers=[signer_of(PRIVATE)]
    )
    assert headers[SIGNATURE_HEADER] == SIGNATURE


def test_the_public_key_verifies_the_published_vector_and_no_other_body() -> None:
    signature = b64decode(SIGNATURE.removeprefix("v1a,"))
    content = signed_content(MESSAGE_ID, 1_614_265_330, BODY)
    assert ed25519_is_valid(PUBLIC, signature=signature, content=content)
    assert not ed25519_is_valid(PUBLIC, signature=signature, content=content + b" ")
    assert not ed25519_is_valid(PUBLIC, signature=b"", content=content)


def test_a_private_key_without_its_public_half_signs_alike() -> None:
    seed = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
    assert signer_of(seed)(b"content") == signer_of(PRIVATE)(b"content")


def test_new_keys_differ_and_can_be_used() -> None:
    assert len({generate_secret() for _ in range(50)}) == 50
    assert len(secret_key(generate_secret())) == 32
    private, public = generate_ed25519()
    signature = b64decode(signer_of(private)(b"content").removeprefix("v1a,"))
    assert ed25519_is_valid(public, signature=signature, content=b"content")
    assert not ed25519_is_valid(PUBLIC, signature=signature, content=b"content")


@given(st.text(), st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3), st.data())
def test_an_independent_verifier_accepts_any_body_under_any_secret_in_force(
    text: str, keys: list[bytes], data: st.DataObject
) -> None:
    body = text.encode("utf-8", "replace")
    secrets = [new_secret(key) for key in keys]
    signers = [*map(signer_of, secrets), signer_of(PRIVATE)]
    now_s = int(datetime.now(UTC).timestamp())
    headers = attempt_headers(message_id="msg_1", timestamp_s=now_s, body=body, signers=signers)
    known = data.draw(st.sampled_from(secrets))
    standardwebhooks.Webhook(known).verify(body, headers, json_parse=False)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(known).verify(body + b" ", headers, json_parse=False)


@pytest.mark.parametrize("secret", ["", "whpk_" + "A" * 43 + "=", "whsk_AAAA", "whsec_AAAA", "secret"])
def test_what_cannot_sign_is_refused(secret: str) -> None:
    with pytest.raises(DataError):
        signer_of(secret)


def test_a_signer_does_not_show_its_key() -> None:
    assert "6Xb" not in repr(signer_of(PRIVATE))
    assert "MfKQ" not in repr(signer_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
