"""The receiver that customers try things with, against the sender that it will see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postloop.adapters.webhook_http import WebhookSender
from postloop.adapters.webhook_keys import generate_ed25519, generate_secret, signer_of
from postloop.adapters.webhook_line import Destination, Limits
from postloop.adapters.webhook_result import AttemptResult
from postloop.domain.webhook.addresses import parse_networks
from postloop.domain.webhook.target import parse_target
from postloop.embedded.webhook_receiver import Arrival, Misbehaviour, WebhookReceiver

SECRET = generate_secret()
BODY = b'{"type":"email.bounced"}'
LIMITS = Limits(deadline_s=0.5)


@asynccontextmanager
async def listening(
    *secrets: str, misbehaviour: Misbehaviour = ""
) -> AsyncIterator[tuple[WebhookReceiver, list[Arrival]]]:
    arrivals: list[Arrival] = []
    receiver = WebhookReceiver(
        arrivals.append, secrets=secrets, misbehaviour=misbehaviour, slow_s=0.05, drip_s=0.05
    )
    await receiver.start()
    try:
        yield receiver, arrivals
    finally:
        await receiver.stop()


async def sent(
    receiver: WebhookReceiver, *, secret: str = SECRET, body: bytes = BODY, times: int = 1
) -> AttemptResult:
    destination = Destination(
        endpoint_id="ep_1",
        target=parse_target(f"http://127.0.0.1:{receiver.port}/any/path"),
        allowed=parse_networks(["127.0.0.0/8"]),
    )
    async with WebhookSender(LIMITS) as sender:
        for _ in range(times):
            result = await sender.send(
                destination, message_id="msg_1", body=body, signers=[signer_of(secret)]
            )
    return result


async def test_it_tells_who_signed_what_and_which_attempt_it_is() -> None:
    async with listening(SECRET) as (receiver, arrivals):
        result = await sent(receiver, times=2)
    assert result.status == 204
    assert [(a.verdict, a.message_id, a.event_type, a.attempt, a.status) for a in arrivals] == [
        ("verified", "msg_1", "email.bounced", 1, 204),
        ("verified", "msg_1", "email.bounced", 2, 204),
    ]


async def test_another_secret_is_refused_with_the_reason() -> None:
    async with listening(SECRET) as (receiver, arrivals):
        result = await sent(receiver, secret=generate_secret())
    assert result.status == 400
    assert arrivals[0].is_refused
    assert "no signature" in arrivals[0].verdict


async def test_a_public_key_is_a_secret_to_check_with() -> None:
    private, public = generate_ed25519()
    async with listening(public) as (receiver, arrivals):
        await sent(receiver, secret=private)
    assert arrivals[0].verdict == "verified"


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"type":1}', b"\xff", b"[" * 100_000], ids=repr)
async def test_a_body_that_is_no_event_is_told_too(body: bytes) -> None:
    async with listening() as (receiver, arrivals):
        assert (await sent(receiver, body=body)).is_success
    assert (arrivals[0].verdict, arrivals[0].event_type) == ("unchecked", "")


@pytest.mark.parametrize(
    ("misbehaviour", "status", "error"),
    [
        pytest.param("slow", 204, ""),
        pytest.param("hang", 0, "timeout"),
        pytest.param("drip", 200, "timeout"),
        pytest.param("endless", 200, ""),
        pytest.param("reset", 0, "connection_lost"),
        pytest.param("redirect", 302, ""),
        pytest.param("410", 410, ""),
        pytest.param("429", 429, ""),
        pytest.param("500", 500, ""),
    ],
)
async def test_each_misbehaviour_is_what_it_is_called(
    misbehaviour: Misbehaviour, status: int, error: str
) -> None:
    async with listening(SECRET, misbehaviour=misbehaviour) as (receiver, arrivals):
        result = await sent(receiver)
    assert (result.status, result.error) == (status, error)
    assert arrivals[0].status == status
    assert result.retry_after == ("30" if misbehaviour == "429" else "")
    assert result.is_cut == (misbehaviour == "endless")
