"""Secrets at rest: sealed by the newest key, opened by every key, and nowhere but where they belong."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.secret_box import SecretBox, SecretBoxError
from postloop.contracts.webhook_endpoint import endpoint_to_bytes, opened_endpoint, read_endpoint
from postloop.domain.errors import DataError
from postloop.domain.webhook.endpoint import Filters, Header, Secret
from tests.unit.contracts.webhooks import NOW_MS, endpoint

OLD, NEW = b"o" * 32, b"n" * 32


@given(text=st.text(max_size=80), context=st.text(max_size=20))
def test_what_is_sealed_opens_and_shows_nothing(text: str, context: str) -> None:
    sealed = SecretBox([OLD]).seal(text, context)
    assert SecretBox([NEW, OLD]).unseal(sealed, context) == text
    assert len(text) < 12 or text not in sealed
    assert SecretBox([OLD]).seal(text, context) != sealed


def test_the_first_key_seals_and_a_rotation_finds_what_is_sealed_under_others() -> None:
    before, after = SecretBox([OLD]), SecretBox([NEW, OLD])
    old, new = before.seal("s", "c"), after.seal("s", "c")
    assert (after.is_current(old), after.is_current(new)) == (False, True)
    assert SecretBox([NEW]).unseal(new, "c") == "s"


def test_a_missing_key_is_named_and_no_key_is_shown() -> None:
    sealed = SecretBox([OLD]).seal("s", "c")
    with pytest.raises(SecretBoxError, match="POSTLOOP_WEBHOOK_MASTER_KEYS") as caught:
        SecretBox([NEW]).unseal(sealed, "c")
    assert sealed.split(".")[1] in str(caught.value)
    assert base64.b64encode(NEW).decode() not in str(caught.value)


@pytest.mark.parametrize(
    ("sealed", "context"),
    [
        pytest.param(lambda text: text, "other", id="moved to another context"),
        pytest.param(lambda text: text[:-4] + "AAA=", "c", id="changed"),
        pytest.param(lambda text: text[:20], "c", id="cut"),
        pytest.param(lambda text: text.replace("v1.", "v9."), "c", id="of another form"),
        pytest.param(lambda text: "", "c", id="empty"),
    ],
)
def test_what_was_not_sealed_here_does_not_open(sealed, context) -> None:  # type: ignore[no-untyped-def]
    box = SecretBox([OLD])
    with pytest.raises(SecretBoxError, match="a stored secret of a webhook"):
        box.unseal(sealed(box.seal("secret", "c")), context)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "set POSTLOOP_WEBHOOK_MASTER_KEYS", id="none"),
        pytest.param(base64.b64encode(b"short").decode(), "32 bytes", id="too short"),
        pytest.param("no base64!", "base64 of 32 bytes", id="no base64"),
        pytest.param(",".join([base64.b64encode(OLD).decode()] * 2), "given twice", id="twice"),
    ],
)
def test_unfit_master_keys_are_refused(text: str, says: str) -> None:
    with pytest.raises(SecretBoxError, match=says):
        SecretBox.from_text(text)


def test_keys_are_read_as_the_setting_has_them() -> None:
    keys = ", ".join(base64.b64encode(key).decode() for key in (NEW, OLD))
    sealed = SecretBox.from_text(keys).seal("s", "c")
    assert SecretBox([NEW]).unseal(sealed, "c") == "s"


def test_an_endpoint_is_stored_whole_and_its_secrets_sealed() -> None:
    box = SecretBox([OLD])
    before = endpoint(
        filters=Filters(sender_domains=frozenset({"b.example", "a.example"}), final_failures_only=True),
        secrets=(Secret(value="whsec_bmV3"), Secret(value="whsec_b2xk", valid_until_ms=NOW_MS + 5)),
        headers=(Header(name="Authorization", value="Bearer swordfish"),),
        hash_key="cd" * 32,
        rate_limit_per_s=2.5,
        is_batched=True,
        allowed_networks=("10.1.0.0/16",),
        account_id=None,
        version=3,
    )
    stored = endpoint_to_bytes(before, seal=box.seal)
    for secret in (b"whsec_", b"bmV3", b"swordfish", b"cdcdcd"):
        assert secret not in stored
        assert secret.decode() not in repr(before)
    assert opened_endpoint(read_endpoint(stored), unseal=box.unseal) == before


def test_a_sealed_secret_of_one_endpoint_opens_for_no_other() -> None:
    box = SecretBox([OLD])
    record = read_endpoint(endpoint_to_bytes(endpoint(), seal=box.seal))
    with pytest.raises(SecretBoxError, match="belongs elsewhere"):
        opened_endpoint(record.model_copy(update={"endpoint_id": "ep_9"}), unseal=box.unseal)


def test_bytes_that_are_no_endpoint_are_data_that_can_never_be_read() -> None:
    with pytest.raises(DataError, match="no endpoint"):
        read_endpoint(b"{}")
