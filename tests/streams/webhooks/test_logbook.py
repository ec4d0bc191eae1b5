"""What is written down of attempts fits into a record, and tells no secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.topic_specs import INPUT_MAX_BYTES
from postloop.adapters.webhook_queue import Claimed
from postloop.adapters.webhook_result import AttemptResult
from postloop.contracts.webhook_attempt import (
    AttemptLogV1,
    AttemptV1,
    BacklogV1,
    DeadWebhookV1,
    attempt_log_from_bytes,
)
from postloop.domain.webhook.endpoint import Endpoint, Header
from postloop_streams.webhooks.desk import Job
from postloop_streams.webhooks.logbook import log_records
from postloop_streams.webhooks.sending import Attempts
from tests.unit.contracts.webhooks import endpoint

AT = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)
BODY = b'{"type":"email.bounced","data":{"recipient":"ann.lee@example.org"}}'
NAMES = {"webhook_id": "msg_1", "endpoint_id": "ep_1", "event_id": "e1", "type": "email.bounced"}


def attempt(**fields: Any) -> AttemptV1:
    return AttemptV1(
        **{
            **NAMES,
            "at": AT,
            "account_id": "acme",
            "attempt": 1,
            "outcome": "retried",
            "latency_ms": 3,
            **fields,
        }
    )


def dead(body: str) -> DeadWebhookV1:
    return DeadWebhookV1(**NAMES, at=AT, account_id="acme", attempt_count=10, cause="gone", body=body)


def backlog(number: int) -> BacklogV1:
    name = f"ep_{number:024d}"
    return BacklogV1(at=AT, endpoint_id=name, account_id=f"account-{number}", waiting_count=1, dead_count=0)


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(
            AttemptLogV1(attempts=(attempt(response="\x01" * 1_024),) * 200), id="control characters"
        ),
        pytest.param(
            AttemptLogV1(attempts=(attempt(account_id="😀" * 998, response="é" * 1_024),) * 200),
            id="long names",
        ),
        pytest.param(AttemptLogV1(dead=(dead("😀" * 2_600),) * 100), id="wide bodies"),
        pytest.param(
            AttemptLogV1(dead=(dead('"' * 262_000), dead('"' * 262_000))), id="two of the largest bodies"
        ),
        pytest.param(AttemptLogV1(backlog=tuple(map(backlog, range(20_000)))), id="many endpoints"),
        pytest.param(AttemptLogV1(attempts=(attempt(),), dead=(dead('"' * 500_000),)), id="two kinds"),
    ],
)
def test_no_record_is_larger_than_its_topic_takes(log: AttemptLogV1) -> None:
    """The broker refused it, it was tried for ever, and the worker sent nothing any more."""
    values = log_records(log)
    assert max(map(len, values)) < INPUT_MAX_BYTES
    parts = [attempt_log_from_bytes(value) for value in values]
    for name in ("attempts", "dead", "backlog"):
        assert sum((getattr(part, name) for part in parts), ()) == getattr(log, name)


def test_a_small_log_is_one_record() -> None:
    assert len(log_records(AttemptLogV1(attempts=(attempt(),) * 200))) == 1


class Answering:
    """Sends nothing, and answers with what it is told to, given what would be sent."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def send(self, *_: Any, **__: Any) -> AttemptResult:
        return AttemptResult(status=500, answer=self._answer)


async def kept(answer: bytes, **fields: Any) -> str:
    """Return what the log keeps of an answer."""
    to: Endpoint = endpoint(**fields)
    claimed = Claimed(no=1, **NAMES, body=BODY, attempt=1, arrived_ms=0, due_ms=0, remember_ms=0)
    job = Job(number=0, endpoint=to, lane="first", message_id="msg_1", body=BODY, claimed=(claimed,))
    return (await Attempts(cast(Any, Answering(answer))).make(job)).response


async def test_a_receiver_that_repeats_the_request_gives_nothing_away() -> None:
    headers = (
        Header(name="Authorization", value="Bearer s3cr3t-t0ken"),
        Header(name="X-Env", value="prod-eu"),
    )
    page = b"Error: Authorization: Bearer s3cr3t-t0ken, X-Env: prod-eu, token s3cr3t-t0ken is wrong\n" + BODY
    told = await kept(page + b" for Ann.Lee@Example.org", headers=headers)
    assert told == "Error: Authorization: ***, X-Env: ***, token *** is wrong\n(the request) for <address>"


async def test_an_answer_is_cut_only_after_what_must_not_be_told_is_gone() -> None:
    secret = "k" * 900
    told = await kept(b"x" * 1_000 + secret.encode() * 3, headers=(Header(name="X-Key", value=secret),))
    assert told == "x" * 1_000 + "***" * 3


@given(st.binary(max_size=3_000))
async def test_what_is_kept_can_be_shown_in_a_terminal(answer: bytes) -> None:
    told = await kept(b"\x1b]0;owned\x07" + answer)
    assert len(told) <= 1_024
    assert all(c.isprintable() or c in "\n\t" for c in told)
