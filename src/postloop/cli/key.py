"""`postloop key`: the keys with which programs and people ask the API."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Column, Table

from postloop.adapters.api_key_store import ApiKeyStore, ListedKey
from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, out, print_json, settings_for, stop
from postloop.contracts.fields import rfc3339
from postloop.domain.api_key import is_id
from postloop.settings import Settings, parse_duration

_COLUMNS: Final = ("key_id", "owner", "name", "state", "expires", "last used")
# ClickHouse keeps no time after 2299.
_MAX_EXPIRES: Final = timedelta(days=36_500)
_WHOLE: Final = frozenset({"key_id", "state", "expires", "last used"})

key = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of the API.")


def register(app: typer.Typer) -> None:
    """Add `postloop key`."""
    app.add_typer(key, name="key")


@key.command()
def create(
    account: Annotated[str, typer.Option(help="Whose data it opens, and nothing else.")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="A key that opens everything.")] = False,
    name: Annotated[str, typer.Option(help="What it is for, to be told apart in lists.")] = "",
    expires: Annotated[str, typer.Option(help="How long it counts, as in 90d; without: no end.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once: only a hash of it is kept.

    Example: [bold]postloop key create --account acme --name "support desk" --expires 90d[/]
    """
    if bool(account) is operator:
        raise stop("name one owner: --account ID, or --operator", Exit.USAGE)
    now = utc_now()
    expires_at = now + _duration(expires) if expires else None
    with guarded():
        made = _store(settings_for(data_dir)).create(
            kind="operator" if operator else "account",
            account_id=account,
            name=name,
            expires_at=expires_at,
            now=now,
        )
    if as_json:
        print_json({"key_id": made.key_id, "key": made.text})
        return
    out.print(made.text)
    owner = f"account {escape(account)}" if account else "the operator"
    err.print(f"key {made.key_id} of {owner}; it is not shown again")


@key.command("list")
def list_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all keys, without their texts: whose they are, whether they count, when each was used last.

    Example: [bold]postloop key list --json | jq -r 'select(.state == "active").key_id'[/]
    """
    with guarded():
        keys = _store(settings_for(data_dir)).listed()
    columns = [Column(name, no_wrap=name in _WHOLE) for name in _COLUMNS]
    table = Table(*columns, box=None)
    for listed in keys:
        known = _as_json(listed)
        if as_json:
            print_json(known)
        else:
            owner = known["account_id"] or "operator"
            times = (_shown(known["expires_at"], 10), _shown(known["last_used_at"], 16))
            table.add_row(*map(escape, (known["key_id"], owner, known["name"], known["state"], *times)))
    if not as_json:
        out.print(table)


@key.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as `key list` shows it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a key. Every API process refuses it within 5 seconds.

    Example: [bold]postloop key revoke mfrggzdfmztwq2lk[/]
    """
    if not is_id(key_id):
        raise stop("that is not the id of a key; `postloop key list` shows them", Exit.USAGE)
    with guarded():
        revoked = _store(settings_for(data_dir)).revoke(key_id, now=utc_now())
    if revoked is None:
        raise stop(f"there is no key {key_id}", Exit.NO)
    if as_json:
        print_json(_as_json(ListedKey(revoked, None)))
    else:
        out.print(f"key {key_id} is revoked")


def _store(settings: Settings) -> ApiKeyStore:
    return ApiKeyStore(connect(settings), settings)


def _duration(text: str) -> timedelta:
    try:
        read = parse_duration(text)
    except ValueError as error:
        raise stop(f"--expires: {error}", Exit.USAGE) from None
    if not isinstance(read, timedelta) or read <= timedelta(0):
        raise stop(f"--expires must be above 0: {text!r}", Exit.USAGE)
    if read > _MAX_EXPIRES:
        said = f"--expires is at most {_MAX_EXPIRES.days:,}d: {text!r}; without it the key has no end"
        raise stop(said, Exit.USAGE)
    return read


def _as_json(listed: ListedKey) -> dict[str, Any]:
    """Return a key for programs: everything but its hash."""
    known = asdict(listed.key)
    del known["digest"]
    times = {"created_at", "expires_at", "revoked_at"}
    known |= {name: None if known[name] is None else rfc3339(known[name]) for name in times}
    known["state"] = listed.key.state_at(utc_now())
    known["last_used_at"] = None if listed.last_used_at is None else rfc3339(listed.last_used_at)
    return known


def _shown(time: str | None, length: int) -> str:
    return time[:length].replace("T", " ") if time else ""
