"""What is told of attempts: for the database, and for people who wait for an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from postloop.adapters.clock import utc_now
from postloop.adapters.webhook_queue_upkeep import GivenUp
from postloop.contracts.fields import moment
from postloop.contracts.webhook_attempt import (
    AttemptLogV1,
    AttemptV1,
    BacklogV1,
    DeadWebhookV1,
    WebhookAnswerV1,
)
from postloop.domain.webhook.event_types import TEST_TYPE
from postloop.domain.webhook.matching import Directory
from postloop_streams.webhooks.desk import Judged

_PER_RECORD = 200
# The topic takes 1 MB; beyond this a record is halved.
_MAX_RECORD_BYTES = 900_000
_ROWS: Final = ("attempts", "dead", "backlog", "answers")
_OUTCOMES = {"done": "delivered", "retry": "retried", "dead": "given_up"}


def outcome_of(judged: Judged) -> str:
    """Return what the log calls it; a test is never tried again."""
    outcome = _OUTCOMES[judged.judgement.outcome]
    is_test = judged.ended.job.claimed[0].type == TEST_TYPE
    return "given_up" if is_test and outcome == "retried" else outcome


def logs_of(judged: Sequence[Judged]) -> list[AttemptLogV1]:
    """Return the records that tell of attempts."""
    rows = [row for one in judged for row in _attempts(one)]
    logs = [
        AttemptLogV1(attempts=tuple(rows[first : first + _PER_RECORD]))
        for first in range(0, len(rows), _PER_RECORD)
    ]
    dead = tuple(row for one in judged for row in _dead(one))
    return [*logs, AttemptLogV1(dead=dead)] if dead else logs


def log_records(log: AttemptLogV1) -> list[bytes]:
    """Return what a log is published as: records that the topic takes, however long accounts and answers are.

    A record that the broker refuses would be tried for ever, and nothing else be sent meanwhile.
    """
    value = log.model_dump_json().encode()
    rows = [(name, row) for name in _ROWS for row in getattr(log, name)]
    if len(value) <= _MAX_RECORD_BYTES or len(rows) == 1:
        return [value]
    half = len(rows) // 2
    return [value for part in (rows[:half], rows[half:]) for value in log_records(_log_of(part))]


def _log_of(rows: Sequence[tuple[str, Any]]) -> AttemptLogV1:
    fields: dict[str, Any] = {name: tuple(row for kind, row in rows if kind == name) for name in _ROWS}
    return AttemptLogV1(**fields)


def backlog_of(
    counts: Mapping[str, tuple[int, int]], told: Mapping[str, tuple[int, int]], directory: Directory
) -> AttemptLogV1 | None:
    """Return what waits, where it is another number than was told last."""
    rows = []
    for name in counts.keys() | told.keys():
        now, endpoint = counts.get(name, (0, 0)), directory.get(name)
        if now != told.get(name) and endpoint is not None:
            rows.append(
                BacklogV1(
                    at=utc_now(),
                    endpoint_id=name,
                    account_id=endpoint.account_id,
                    waiting_count=now[0],
                    dead_count=now[1],
                )
            )
    return AttemptLogV1(backlog=tuple(rows)) if rows else None


def given_up_log(given: Iterable[GivenUp], directory: Directory) -> AttemptLogV1 | None:
    """Return what was given up without an attempt, of endpoints that are not removed."""
    known = [(one, endpoint) for one in given if (endpoint := directory.get(one.endpoint_id)) is not None]
    rows = tuple(
        DeadWebhookV1(
            at=moment(one.at_ms),
            webhook_id=one.webhook_id,
            endpoint_id=one.endpoint_id,
            account_id=endpoint.account_id,
            event_id=one.event_id,
            type=one.type,
            attempt_count=one.attempt_count,
            cause=one.cause,
            body=one.body.decode(),
        )
        for one, endpoint in known
    )
    return AttemptLogV1(dead=rows) if rows else None


def answer_log(command_id: str, changed_count: int) -> AttemptLogV1:
    """Return the record that answers a command."""
    return AttemptLogV1(answers=(WebhookAnswerV1(command_id=command_id, changed_count=changed_count),))


def _attempts(judged: Judged) -> Iterable[AttemptV1]:
    ended, judgement = judged.ended, judged.judgement
    outcome = outcome_of(judged)
    for claimed in ended.job.claimed:
        yield AttemptV1(
            at=moment(ended.at_ms),
            webhook_id=claimed.webhook_id,
            request_id=claimed.batch or "",
            endpoint_id=claimed.endpoint_id,
            account_id=ended.job.endpoint.account_id,
            event_id=claimed.event_id,
            type=claimed.type,
            attempt=claimed.attempt,
            outcome=outcome,  # type: ignore[arg-type]
            error_class=judgement.error,
            status=ended.answer.status,
            latency_ms=round(ended.latency_ms),
            next_attempt_at=moment(judgement.due_ms) if outcome == "retried" else None,
            response=ended.response,
            is_test=claimed.type == TEST_TYPE,
        )


def _dead(judged: Judged) -> Iterable[DeadWebhookV1]:
    if judged.judgement.outcome != "dead":
        return
    for claimed in judged.ended.job.claimed:
        if claimed.type != TEST_TYPE:
            yield DeadWebhookV1(
                at=moment(judged.ended.at_ms),
                webhook_id=claimed.webhook_id,
                endpoint_id=claimed.endpoint_id,
                account_id=judged.ended.job.endpoint.account_id,
                event_id=claimed.event_id,
                type=claimed.type,
                attempt_count=claimed.attempt,
                cause=judged.judgement.error,
                body=claimed.body.decode(),
            )
