"""`postloop webhook test|attempts|resend`: deliveries of endpoints."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Column, Table

from postloop.adapters.clickhouse import connect, translated
from postloop.adapters.clock import utc_now
from postloop.adapters.migration_render import Layout
from postloop.adapters.webhook_answers import AttemptWatch
from postloop.adapters.webhook_endpoints import WebhookTopics
from postloop.adapters.webhook_master_key import secret_box
from postloop.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    guarded,
    out,
    print_json,
    settings_for,
    stop,
    time_option,
)
from postloop.cli.webhook_endpoints import EndpointId, check_address, endpoint_record, endpoint_records
from postloop.contracts.fields import milliseconds
from postloop.contracts.webhook_attempt import AttemptV1
from postloop.contracts.webhook_command import RecoverV1, ResendV1, WebhookCommandV1, command_to_bytes
from postloop.contracts.webhook_delivery import DeliveryV1, deliveries_to_bytes
from postloop.contracts.webhook_endpoint import EndpointRecordV1, opened_endpoint
from postloop.domain.webhook.bodies import body_of
from postloop.domain.webhook.endpoint import RECOVERY_MS
from postloop.domain.webhook.notice import webhook_id
from postloop.domain.webhook.notices import test_notice
from postloop.settings import Settings

# An attempt may take 15 s.
_TEST_TIMEOUT_S: Final = 25.0
_ANSWER_TIMEOUT_S: Final = 20.0
_COLUMNS: Final = (
    "at", "webhook_id", "event_id", "type", "attempt", "outcome", "error_class", "status", "latency_ms",
    "next_attempt_at", "response",
)  # fmt: skip


def register(webhook: typer.Typer) -> None:
    """Add the commands to `postloop webhook`."""
    webhook.command()(test)
    webhook.command()(attempts)
    webhook.command()(resend)


def test(endpoint_id: EndpointId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Send an event of type webhook.test to an endpoint once, and say what came of it (exit code 1: not accepted).

    Example: [bold]postloop webhook test ep_a913dcfd63384f6996983066[/]
    """
    settings = settings_for(data_dir)
    record = endpoint_record(settings, endpoint_id)
    if record.state != "active":
        raise stop(f"{endpoint_id} is {record.state}: resume it first", Exit.REFUSED)
    with guarded():
        check_address(record)
        attempt = _tested(settings, record)
    if as_json:
        print_json(attempt.model_dump(mode="json"))
    else:
        said = f"{attempt.status or attempt.error_class} in {attempt.latency_ms} ms: {attempt.response}"
        out.print(f"{attempt.outcome.replace('_', ' ')}: {escape(said)}")
    if attempt.outcome != "delivered":
        raise typer.Exit(int(Exit.NO))


def attempts(
    endpoint_id: EndpointId,
    is_failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the attempts of an endpoint, the newest first, as ClickHouse keeps them.

    Example: [bold]postloop webhook attempts ep_a913dcfd63384f6996983066 --failed[/]
    """
    settings = settings_for(data_dir)
    endpoint_record(settings, endpoint_id)
    with guarded():
        rows = _attempts(settings, endpoint_id, is_failed=is_failed, limit=limit)
    if as_json:
        for row in rows:
            print_json(row)
        return
    event = Column("event", overflow="fold")  # for `resend`
    table = Table("at", "type", "attempt", "outcome", "status", "ms", event, "response", box=None)
    for row in rows:
        said = str(row["status"] or row["error_class"])
        cells = (
            row["at"],
            row["type"],
            row["attempt"],
            row["outcome"],
            said,
            row["latency_ms"],
            row["event_id"],
        )
        table.add_row(*(escape(str(cell)) for cell in cells), escape(row["response"][:60]))
    out.print(table)


def resend(
    event_id: Annotated[str, typer.Argument(metavar="[EVENT_ID]", help="Of the event to send again.")] = "",
    endpoint: Annotated[
        str, typer.Option(help="Only this endpoint; with --since: what it did not get.")
    ] = "",
    since: Annotated[
        str, typer.Option(help="Send again what was told since then and given up; at most 14 days ago.")
    ] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send an event again, or what an endpoint did not get since a moment; every webhook-id stays the same.

    Example: [bold]postloop webhook resend --endpoint ep_... --since 2026-01-02T00:00:00Z[/]
    """
    if bool(event_id) == bool(since) or (since and not endpoint):
        raise stop("say either EVENT_ID, or --endpoint E --since TIME", Exit.USAGE)
    settings = settings_for(data_dir)
    since_ms = _since_ms(since) if since else 0
    records = [endpoint_record(settings, endpoint)] if endpoint else endpoint_records(settings)
    if endpoint and records[0].state == "disabled":  # what would be sent again would be given up again
        raise stop(f"{endpoint} is disabled: resume it first", Exit.REFUSED)
    records = [record for record in records if record.state != "disabled"]
    commands = [_command(record.endpoint_id, event_id, since_ms) for record in records]
    with guarded():
        count = _commanded(settings, commands)
    if as_json:
        print_json({"resent_count": count})
    else:
        err.print(f"{count} deliveries are attempted again")
    if not count:
        raise typer.Exit(int(Exit.NO))


def _tested(settings: Settings, record: EndpointRecordV1) -> AttemptV1:
    now_ms = milliseconds(utc_now())
    notice = test_notice(event_id=str(uuid.uuid4()), occurred_ms=now_ms)
    endpoint = opened_endpoint(record, unseal=secret_box(settings).unseal)
    delivery = DeliveryV1(
        webhook_id=webhook_id(event_id=notice.event_id, endpoint_id=record.endpoint_id),
        endpoint_id=record.endpoint_id,
        event_id=notice.event_id,
        type=notice.type,
        body=body_of(notice, endpoint).decode(),
        arrived_ms=now_ms,
        due_ms=now_ms,
    )
    with AttemptWatch(settings) as watch, WebhookTopics(settings) as topics:
        topics.hand_over(record.endpoint_id, deliveries_to_bytes([delivery]))
        return watch.attempt(delivery.webhook_id, timeout_s=_TEST_TIMEOUT_S)


def _commanded(settings: Settings, commands: list[WebhookCommandV1]) -> int:
    with AttemptWatch(settings) as watch, WebhookTopics(settings) as topics:
        for command in commands:
            topics.hand_over(command.endpoint_id, command_to_bytes(command))
        return watch.answers({command.command_id for command in commands}, timeout_s=_ANSWER_TIMEOUT_S)


def _command(endpoint_id: str, event_id: str, since_ms: int) -> WebhookCommandV1:
    command_id = str(uuid.uuid4())
    if not event_id:
        return RecoverV1(command_id=command_id, endpoint_id=endpoint_id, since_ms=since_ms)
    name = webhook_id(event_id=event_id, endpoint_id=endpoint_id)
    return ResendV1(command_id=command_id, endpoint_id=endpoint_id, webhook_ids=(name,))


def _since_ms(text: str) -> int:
    since = time_option(text, "--since")
    oldest = utc_now() - timedelta(milliseconds=RECOVERY_MS)
    if since < oldest:
        limit = oldest.isoformat(timespec="seconds")
        raise stop(f"--since is at most 14 days ago ({limit}): {text}", Exit.REFUSED)
    return milliseconds(since)


def _attempts(settings: Settings, endpoint_id: str, *, is_failed: bool, limit: int) -> list[dict[str, Any]]:
    table = Layout(cluster=settings.clickhouse_cluster).readable("webhook_attempts")
    failed = "AND outcome != 'delivered'" if is_failed else ""
    query = (
        f"SELECT {', '.join(_COLUMNS)} FROM {table} FINAL WHERE endpoint_id = {{endpoint:String}} {failed} "  # noqa: S608
        "ORDER BY at DESC LIMIT {limit:UInt32}"
    )
    client = connect(settings)
    try:
        with translated("attempts cannot be read"):
            result = client.query(query, parameters={"endpoint": endpoint_id, "limit": limit})
            return [dict(zip(_COLUMNS, row, strict=True)) for row in result.result_rows]
    finally:
        client.close()
