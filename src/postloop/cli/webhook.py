"""`postloop webhook`: webhooks from the customer's side."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from typing import Annotated, Any, Final, cast, get_args

import typer
from rich.markup import escape

from postloop.adapters.clock import utc_now
from postloop.adapters.webhook_keys import signer_of
from postloop.cli import webhook_endpoints, webhook_sending
from postloop.cli.common import AsJson, Exit, err, guarded, out, print_json, stop
from postloop.domain.errors import DataError
from postloop.domain.webhook.signing import PUBLIC_KEY_PREFIX, ed25519_public_key
from postloop.embedded.webhook_receiver import Arrival, Misbehaviour, WebhookReceiver

webhook = typer.Typer(
    no_args_is_help=True,
    help="Endpoints of webhooks, what was sent to them, and a receiver for this machine.",
)

_MISBEHAVIOURS: Final = tuple(name for name in get_args(Misbehaviour) if name)


def register(app: typer.Typer) -> None:
    """Add `postloop webhook`."""
    app.add_typer(webhook, name="webhook")


@webhook.command()
def listen(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free port.")] = 8900,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="whsec_... (or whpk_...) of the endpoint; may repeat. Without: nothing is checked."
        ),
    ] = None,
    misbehave: Annotated[str, typer.Option(help=f"Answer badly: {', '.join(_MISBEHAVIOURS)}.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    is_open: Annotated[bool, typer.Option("--open", help="Allow an address that is not loopback.")] = False,
    count: Annotated[int, typer.Option(min=0, help="End after so many requests; 0: never.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Receive webhooks on this machine and show them: who signed, id, type, which attempt. Ctrl-C ends it.

    The operator has to open 127.0.0.0/8 for the endpoint (`postloop webhook add --allow-private-network`).

    Example: [bold]postloop webhook listen --secret whsec_... --misbehave 500[/]
    """
    secrets = secret or []
    _check(host, is_open, secrets, misbehave)
    with guarded():
        asyncio.run(_listen(host, port, secrets, cast(Misbehaviour, misbehave), count, as_json))


def _check(host: str, is_open: bool, secrets: list[str], misbehave: str) -> None:
    if misbehave and misbehave not in _MISBEHAVIOURS:
        raise stop(f"--misbehave is one of {', '.join(_MISBEHAVIOURS)}: {misbehave!r}", Exit.USAGE)
    if not is_open and not _is_loopback(host):
        raise stop(f"{host} is reachable by others: say --open as well", Exit.USAGE)
    try:
        for text in secrets:
            _ = ed25519_public_key(text) if text.startswith(PUBLIC_KEY_PREFIX) else signer_of(text)
    except DataError as error:
        raise stop(f"--secret: {error}", Exit.USAGE) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _listen(
    host: str, port: int, secrets: list[str], misbehaviour: Misbehaviour, count: int, as_json: bool
) -> None:
    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    arrived_count = 0

    def told(arrival: Arrival) -> None:
        nonlocal arrived_count
        arrived_count += 1
        _show(arrival, as_json)
        if count and arrived_count >= count:
            enough.set()

    receiver = WebhookReceiver(told, host=host, port=port, secrets=secrets, misbehaviour=misbehaviour)
    await receiver.start()
    checked = "signatures are checked" if secrets else "no secret: signatures are not checked"
    err.print(f"listening on http://{host}:{receiver.port}/ ({checked})", markup=False)
    try:
        await enough.wait()
    finally:
        await receiver.stop()


def _show(arrival: Arrival, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(arrival))
        return
    colour = "red" if arrival.is_refused else "green" if arrival.verdict == "verified" else "yellow"
    out.print(
        f"{utc_now():%H:%M:%S} [{colour}]{escape(arrival.verdict)}[/] {_shown(arrival.event_type)} "
        f"{_shown(arrival.message_id)} attempt {arrival.attempt}, answered {arrival.status or 'nothing'}"
    )


def _shown(text: str) -> str:
    """Return what a stranger wrote, without what a terminal would obey."""
    return escape("".join(c if c.isprintable() else "?" for c in text)) or "-"


def _as_json(arrival: Arrival) -> dict[str, Any]:
    return {
        "received_at": utc_now().isoformat(timespec="milliseconds"),
        "verdict": arrival.verdict if not arrival.is_refused else "refused",
        "reason": arrival.verdict if arrival.is_refused else "",
        "webhook_id": arrival.message_id,
        "type": arrival.event_type,
        "attempt": arrival.attempt,
        "status": arrival.status,
        "body": arrival.body.decode("utf-8", "replace"),
    }


webhook_endpoints.register(webhook)
webhook_sending.register(webhook)
