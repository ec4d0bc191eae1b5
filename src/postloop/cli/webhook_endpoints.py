"""`postloop webhook add|list|show|rotate|reseal|pause|resume|remove`: endpoints, kept in their topic."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, cast

import typer
from rich.markup import escape
from rich.table import Column, Table

from postloop.adapters import clock
from postloop.adapters.webhook_connection import ForbiddenAddressError
from postloop.adapters.webhook_endpoints import WebhookTopics
from postloop.adapters.webhook_http import WebhookSender
from postloop.adapters.webhook_keys import generate, is_ed25519_key
from postloop.adapters.webhook_lookup import LookupFailedError
from postloop.adapters.webhook_master_key import secret_box
from postloop.cli.common import AsJson, DataDir, Exit, guarded, out, print_json, settings_for, stop
from postloop.contracts.webhook_endpoint import (
    EndpointRecordV1,
    endpoint_to_bytes,
    opened_endpoint,
    read_endpoint,
    sealed_texts,
)
from postloop.domain.errors import DataError
from postloop.domain.webhook.addresses import parse_networks
from postloop.domain.webhook.endpoint import Endpoint, Filters, Header, RecipientOption, Secret
from postloop.domain.webhook.transitions import Action, moved, rotated
from postloop.domain.webhook.validation import check_endpoint
from postloop.settings import Settings, parse_duration

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="As `postloop webhook list` shows it.")]
Account = Annotated[str, typer.Option(help="Whose endpoint it is.")]
_HASH_KEY_BYTES: Final = 32
_ID_CHARS: Final = 27


def register(webhook: typer.Typer) -> None:
    """Add the commands to `postloop webhook`."""
    webhook.command()(add)
    webhook.command("list")(list_endpoints)
    webhook.command()(show)
    webhook.command()(rotate)
    webhook.command()(reseal)
    webhook.command()(pause)
    webhook.command()(resume)
    webhook.command()(remove)


def add(
    url: Annotated[str, typer.Option(help="Where events go: https://HOST/PATH.")],
    event: Annotated[
        list[str], typer.Option(help="A type of event; may repeat. all: every type but the two of each mail.")
    ],
    account: Account = "",
    is_operator: Annotated[bool, typer.Option("--operator", help="An endpoint of the operator.")] = False,
    allow_private_network: Annotated[
        list[str] | None, typer.Option(help="CIDR of a private network that is opened for this endpoint.")
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Only of this sender domain; may repeat.")] = None,
    mail_class: Annotated[list[str] | None, typer.Option(help="Only of this class; may repeat.")] = None,
    final_failures_only: Annotated[bool, typer.Option(help="Nothing of mail that is still retried.")] = False,
    header: Annotated[list[str] | None, typer.Option(help="NAME: VALUE, sent along; may repeat.")] = None,
    rate_limit: Annotated[float, typer.Option(help="Attempts a second; 0: no limit.")] = 0.0,
    concurrency: Annotated[int, typer.Option(help="Attempts at the same time, 1 to 100.")] = 20,
    recipient: Annotated[str, typer.Option(help="Addresses are told clear, masked or hashed.")] = "clear",
    is_batched: Annotated[bool, typer.Option("--batched", help="Up to 100 events in one request.")] = False,
    is_ed25519: Annotated[
        bool, typer.Option("--ed25519", help="Sign with a key (v1a); its receiver gets the public half.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. Its id and secret are printed once; workers know it within a second.

    Example: [bold]postloop webhook add --account acme --url https://acme.example/hooks --event all[/]
    """
    if bool(account) == is_operator:
        raise stop("say either --account ID or --operator", Exit.USAGE)
    now_ms, (secret, shown) = clock.now_ms(), generate(is_ed25519=is_ed25519)
    endpoint = Endpoint(
        endpoint_id=f"ep_{uuid.uuid4().hex[:24]}",
        account_id=account or None,
        url=url,
        event_types=frozenset(event),
        secrets=(Secret(value=secret),),
        hash_key=secrets.token_hex(_HASH_KEY_BYTES),
        created_ms=now_ms,
        state_ms=now_ms,
        filters=Filters(
            sender_domains=frozenset(domain or ()),
            mail_classes=frozenset(mail_class or ()),
            final_failures_only=final_failures_only,
        ),
        headers=tuple(_header(text) for text in header or ()),
        rate_limit_per_s=rate_limit,
        concurrency=concurrency,
        recipient=cast(RecipientOption, recipient),
        is_batched=is_batched,
        allowed_networks=tuple(allow_private_network or ()),
    )
    settings = settings_for(data_dir)
    with guarded():
        check_endpoint(endpoint)
        check_address(endpoint)
        _write(settings, endpoint)
    if as_json:
        print_json({"endpoint_id": endpoint.endpoint_id, **shown})
        return
    out.print(f"endpoint  {endpoint.endpoint_id}")
    _print_once(shown, "the receiver checks signatures with it")


def list_endpoints(account: Account = "", data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List endpoints, all or those of one account.

    Example: [bold]postloop webhook list --account acme[/]
    """
    found = [
        record for record in endpoint_records(settings_for(data_dir)) if account in ("", record.account_id)
    ]
    if as_json:
        for record in found:
            print_json(_shown(record))
        return
    table = Table(_whole("endpoint"), "account", "state", "events", Column("url", overflow="fold"), box=None)
    for record in found:
        events = ", ".join(record.event_types)
        cells = (record.endpoint_id, record.account_id or "(operator)", _state(record), events, record.url)
        table.add_row(*map(escape, cells))
    out.print(table)


def show(endpoint_id: EndpointId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show an endpoint; secrets and the values of headers are never shown.

    Example: [bold]postloop webhook show ep_a913dcfd63384f6996983066[/]
    """
    document = _shown(endpoint_record(settings_for(data_dir), endpoint_id))
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        out.print(f"{name:<20} {escape(text)}")


def rotate(
    endpoint_id: EndpointId,
    overlap: Annotated[str, typer.Option(help="How long the old secrets sign as well: 0s to 7d.")] = "24h",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give an endpoint a new secret, printed once; the old ones sign as well for a while.

    Example: [bold]postloop webhook rotate ep_a913dcfd63384f6996983066 --overlap 48h[/]
    """
    overlap_ms = _overlap_ms(overlap)
    shown: dict[str, str] = {}

    def renewed(endpoint: Endpoint) -> Endpoint:
        secret, given = generate(is_ed25519=is_ed25519_key(endpoint.secrets[0].value))
        shown.update(given)
        return rotated(endpoint, secret, now_ms=clock.now_ms(), overlap_ms=overlap_ms)

    with _changing(settings_for(data_dir), endpoint_id) as change:
        change(renewed)
    if as_json:
        print_json({"endpoint_id": endpoint_id, **shown, "overlap_s": overlap_ms // 1000})
    else:
        _print_once(shown, f"the old one signs as well for {overlap}")


def reseal(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Seal the secrets of all endpoints under the newest master key; the older keys can go then.

    Restart every worker with the new key before the old one first: who has only the old one cannot read them any more.

    Example: [bold]postloop webhook reseal[/]
    """
    settings = settings_for(data_dir)
    with guarded(), WebhookTopics(settings) as topics:
        box, records = secret_box(settings), [read_endpoint(value) for value in topics.read().values.values()]
        old = [record for record in records if not all(map(box.is_current, sealed_texts(record)))]
        opened = [opened_endpoint(record, unseal=box.unseal) for record in old]
        topics.write({one.endpoint_id: endpoint_to_bytes(one, seal=box.seal) for one in opened})
    if as_json:
        print_json({"resealed_count": len(old), "endpoint_count": len(records)})
    else:
        out.print(
            f"{len(old)} of {len(records)} endpoints were sealed anew; all are under the newest master key"
        )


def pause(endpoint_id: EndpointId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let events for an endpoint wait, for 14 days at most.

    Example: [bold]postloop webhook pause ep_a913dcfd63384f6996983066[/]
    """
    _move(endpoint_id, "pause", settings_for(data_dir), as_json)


def resume(endpoint_id: EndpointId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Go on with an endpoint that was paused or disabled.

    Example: [bold]postloop webhook resume ep_a913dcfd63384f6996983066[/]
    """
    _move(endpoint_id, "resume", settings_for(data_dir), as_json)


def remove(endpoint_id: EndpointId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Remove an endpoint and forget what waits for it.

    Example: [bold]postloop webhook remove ep_a913dcfd63384f6996983066[/]
    """
    settings = settings_for(data_dir)
    with guarded(), WebhookTopics(settings) as topics:
        if endpoint_id not in topics.read().values:
            raise unknown(endpoint_id)
        topics.write({endpoint_id: None})
    if as_json:
        print_json({"endpoint_id": endpoint_id, "state": "removed"})
    else:
        out.print(f"{endpoint_id} is removed")


# -- what other commands use -----------------------------------------------------------------------------------


def endpoint_records(settings: Settings) -> list[EndpointRecordV1]:
    """Return the records of all endpoints, sorted by id, or leave with an exit code."""
    with guarded(), WebhookTopics(settings) as topics:
        values = topics.read().values
        return [read_endpoint(values[name]) for name in sorted(values)]


def endpoint_record(settings: Settings, endpoint_id: str) -> EndpointRecordV1:
    """Return the record of an endpoint, or leave with exit code 1."""
    for record in endpoint_records(settings):
        if record.endpoint_id == endpoint_id:
            return record
    raise unknown(endpoint_id)


def unknown(endpoint_id: str) -> typer.Exit:
    """Say that there is no such endpoint."""
    return stop(f"no endpoint {endpoint_id!r}: see `postloop webhook list`", Exit.NO)


def check_address(endpoint: Endpoint | EndpointRecordV1) -> None:
    """Accept an endpoint whose host leads to addresses that a webhook may go to now, or leave with an exit code.

    Raises:
        DataError: The URL or a network has a mistake.
    """

    async def check() -> None:
        async with WebhookSender() as sender:
            await sender.check(endpoint.url, allowed=parse_networks(endpoint.allowed_networks))

    try:
        asyncio.run(check())
    except ForbiddenAddressError as error:
        raise stop(f"{error} ({error.verdict.code})", Exit.REFUSED) from None
    except LookupFailedError as error:
        raise stop(f"the host of the URL cannot be found: {error}", Exit.UNREACHABLE) from None


def _write(settings: Settings, endpoint: Endpoint) -> None:
    box = secret_box(settings)
    with WebhookTopics(settings) as topics:
        topics.write({endpoint.endpoint_id: endpoint_to_bytes(endpoint, seal=box.seal)})


@contextmanager
def _changing(settings: Settings, endpoint_id: str) -> Iterator[Any]:
    """Give a function that changes an endpoint and writes it; refusals leave with exit code 4."""
    with guarded(), WebhookTopics(settings) as topics:
        box = secret_box(settings)
        value = topics.read().values.get(endpoint_id)
        if value is None:
            raise unknown(endpoint_id)
        before = opened_endpoint(read_endpoint(value), unseal=box.unseal)

        def change(rule: Any) -> Endpoint:
            try:
                after: Endpoint = rule(before)
            except DataError as error:
                raise stop(error.text, Exit.REFUSED) from None
            if after is not before:
                topics.write({endpoint_id: endpoint_to_bytes(after, seal=box.seal)})
            return after

        yield change


def _move(endpoint_id: str, action: Action, settings: Settings, as_json: bool) -> None:
    with _changing(settings, endpoint_id) as change:
        after: Endpoint = change(lambda endpoint: moved(endpoint, action, now_ms=clock.now_ms()))
    if as_json:
        print_json({"endpoint_id": endpoint_id, "state": after.state})
    else:
        out.print(f"{endpoint_id} is {after.state}")


def _print_once(shown: dict[str, str], what: str) -> None:
    for field, value in shown.items():
        name = field.replace("_", " ")
        out.print(f"{name:<9} {value}\nThe {name} is shown only now; {what}.")


def _shown(record: EndpointRecordV1) -> dict[str, Any]:
    document = record.model_dump(mode="json", exclude={"secrets", "sealed_hash_key", "headers"})
    return {
        **document,
        "headers": [header.name for header in record.headers],
        "secret_count": len(record.secrets),
    }


def _whole(name: str) -> Column:
    """Return a column of ids: one that is cut short is of no use to the other commands."""
    return Column(name, overflow="fold", min_width=_ID_CHARS)


def _state(record: EndpointRecordV1) -> str:
    return f"{record.state} ({record.cause})" if record.cause else record.state


def _header(text: str) -> Header:
    name, colon, value = text.partition(":")
    if not colon:
        raise stop(f"--header is NAME: VALUE, got {name!r}", Exit.USAGE)
    return Header(name=name.strip(), value=value.strip())


def _overlap_ms(text: str) -> int:
    try:
        overlap: Any = parse_duration(text)
        return int(overlap.total_seconds() * 1000)
    except ValueError as error:
        raise stop(f"--overlap: {error}", Exit.USAGE) from None
