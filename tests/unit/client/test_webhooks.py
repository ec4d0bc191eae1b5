"""verify_webhook: what is genuine passes, everything else is one of four errors."""

from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.webhook_keys import generate_ed25519, generate_secret, signer_of
from postloop.client import (
    HeaderInvalidError,
    HeaderMissingError,
    SignatureError,
    TimestampError,
    WebhookError,
    verify_webhook,
)
from postloop.domain.errors import DataError
from postloop.domain.webhook.signing import attempt_headers

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET, OTHER = generate_secret(), generate_secret()
PRIVATE, PUBLIC = generate_ed25519()
BODY = b'{"type":"email.bounced"}'


def signed(
    body: bytes = BODY, *secrets: str, at: datetime = NOW, message_id: str = "msg_1"
) -> dict[str, str]:
    signers = [signer_of(secret) for secret in secrets or (SECRET,)]
    return attempt_headers(message_id=message_id, timestamp_s=int(at.timestamp()), body=body, signers=signers)


def test_the_published_vector_passes() -> None:
    headers = {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "WEBHOOK-TIMESTAMP": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    sent_at = datetime.fromtimestamp(1_614_265_330, UTC)
    webhook = verify_webhook(
        headers, b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now=sent_at
    )
    assert (webhook.id, webhook.sent_at) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at)
    assert webhook.json() == {"test": 2_432_232_314}


@given(
    st.binary(),
    st.sampled_from([SECRET, PUBLIC]),
    st.sampled_from([[SECRET, PRIVATE], [OTHER, SECRET, PRIVATE]]),
)
def test_any_body_passes_with_any_secret_that_is_known_to_both(
    body: bytes, known: str, signing: list[str]
) -> None:
    assert verify_webhook(signed(body, *signing), body, [known], now=NOW).body == body


@given(st.binary(), st.binary())
def test_no_other_body_passes(body: bytes, other: bytes) -> None:
    if body != other:
        with pytest.raises(SignatureError):
            verify_webhook(signed(body, SECRET, PRIVATE), other, [SECRET, PUBLIC], now=NOW)


@given(st.integers(-10_000, 10_000), st.integers(0, 5_000))
def test_the_time_of_the_attempt_lies_within_the_tolerance_both_ways(age_s: int, tolerance_s: int) -> None:
    headers = signed(at=NOW - timedelta(seconds=age_s))
    if abs(age_s) <= tolerance_s:
        verify_webhook(headers, BODY, SECRET, tolerance_s=tolerance_s, now=NOW)
    else:
        with pytest.raises(TimestampError, match="ago" if age_s > 0 else "ahead"):
            verify_webhook(headers, BODY, SECRET, tolerance_s=tolerance_s, now=NOW)


def test_the_clock_is_asked_where_no_time_is_given() -> None:
    verify_webhook(signed(at=datetime.now(UTC)), BODY, SECRET)
    with pytest.raises(TimestampError):
        verify_webhook(signed(at=datetime.now(UTC) - timedelta(seconds=400)), BODY, SECRET)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
def test_a_missing_header_is_named(name: str, value: str | None) -> None:
    headers = signed()
    headers[name] = value or ""
    with pytest.raises(HeaderMissingError, match=name):
        verify_webhook(headers if value is not None else _without(headers, name), BODY, SECRET, now=NOW)


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def test_a_header_that_is_there_twice_is_refused() -> None:
    with pytest.raises(HeaderMissingError, match="twice"):
        verify_webhook({**signed(), "Webhook-Id": "msg_2"}, BODY, SECRET, now=NOW)


@pytest.mark.parametrize("text", ["now", "1.5", "-1", "+1", "1e9", "1_000", "١٢٣", "9" * 12, " 1"])
def test_a_timestamp_that_is_no_number_of_seconds_is_invalid(text: str) -> None:
    with pytest.raises(HeaderInvalidError, match="webhook-timestamp"):
        verify_webhook({**signed(), "webhook-timestamp": text}, BODY, SECRET, now=NOW)


def test_an_id_with_a_dot_is_refused_though_its_signature_would_fit() -> None:
    """`msg.1` at time 2 is signed as `msg` at time 1 with a body that begins with `2.`"""
    at_s = int(NOW.timestamp())
    headers = signed(b"%d.%b" % (at_s, BODY), message_id="msg")
    forged = {**headers, "webhook-id": f"msg.{at_s}"}
    with pytest.raises(HeaderInvalidError, match="webhook-id"):
        verify_webhook(forged, BODY, SECRET, now=NOW)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_for_a_signature_is_refused_by_an_error_of_ours(text: str) -> None:
    for known in (SECRET, PUBLIC):
        with pytest.raises(WebhookError):
            verify_webhook({**signed(), "webhook-signature": f"v1a,{text} v1,{text}"}, BODY, known, now=NOW)


@pytest.mark.parametrize("part", ["v1", "v1,", "abc", "v1,a", "v9,!!", "v1a,AAAA", ","])
def test_a_part_that_cannot_be_read_does_not_hide_one_that_fits(part: str) -> None:
    headers = signed()
    headers["webhook-signature"] = f"{part} {headers['webhook-signature']} {part}"
    assert verify_webhook(headers, BODY, SECRET, now=NOW).id == "msg_1"


def test_the_signature_of_a_public_key_is_not_an_hmac_with_it() -> None:
    """Who takes the key that everybody knows for the shared secret must not get through."""
    fake = signed(BODY, "whsec_" + PUBLIC.removeprefix("whpk_"))
    with pytest.raises(SignatureError):
        verify_webhook(fake, BODY, PUBLIC, now=NOW)


@pytest.mark.parametrize("secret", ["", "secret", "whsec_AAAA", "whpk_AAAA"])
def test_a_secret_without_the_form_of_one_is_the_receivers_mistake(secret: str) -> None:
    with pytest.raises(DataError):
        verify_webhook(signed(BODY, SECRET, PRIVATE), BODY, secret, now=NOW)


def test_no_secret_at_all_lets_nothing_through() -> None:
    with pytest.raises(SignatureError):
        verify_webhook(signed(), BODY, [], now=NOW)


def test_what_another_library_signs_passes() -> None:
    now = datetime.now(UTC)
    signature = standardwebhooks.Webhook(SECRET).sign("msg_1", now, BODY.decode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    assert verify_webhook(headers, BODY, SECRET).id == "msg_1"


def test_no_error_shows_a_secret_or_a_signature() -> None:
    with pytest.raises(SignatureError) as refused:
        verify_webhook(signed(), BODY, OTHER, now=NOW)
    assert "whsec" not in str(refused.value)
    assert "v1," not in str(refused.value)
