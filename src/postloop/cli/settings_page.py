"""The page docs/configuration.md, made from the settings themselves."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from postloop.cli.config import shown_value
from postloop.settings import PREFIX, Settings

_HEAD: Final = """# Configuration

<!-- Made by `python -m postloop.cli.settings_page`; a test compares it with the settings. Do not edit. -->

Every setting is an environment variable, or a line of the file `.env` in the working directory. The environment
wins over `.env`; both win over a running `postloop up`, whose addresses commands find by its data directory
(`--data-dir`, `POSTLOOP_DATA_DIR`, default `.postloop`).

A name that starts with `POSTLOOP_` and is no setting is refused, and so is a value that is malformed or
contradicts another: one sentence, exit code 2. `postloop config` shows what is in force and where it comes from,
with secrets hidden.

Durations are a number with a unit: `250ms`, `30s`, `10m`, `72h`, `14d`. Yes and no are `1` and `0`.

| variable | default | value | meaning |
|---|---|---|---|
"""
_TAIL: Final = """
## What contradicts

- `POSTLOOP_INSERT_TIMEOUT` must be shorter than `POSTLOOP_SESSION_TIMEOUT`: a worker that lost its partitions
  must not still be inserting.
- SASL needs a user and a password. SASL without TLS (`sasl_plaintext`) sends them in clear text and is refused
  unless `POSTLOOP_KAFKA_ALLOW_CLEARTEXT=1`.
- A user without SASL is refused: the password would not be used.
- `POSTLOOP_RAW_RETENTION` is at least `2d`: views and repairs count from raw events.

## What `postloop up` sets itself

The processes it starts talk to its own broker and ClickHouse, in plain text on 127.0.0.1, whatever is configured
for a real cluster. Unless you set them, `POSTLOOP_SESSION_TIMEOUT` is `6s` and `POSTLOOP_INSERT_TIMEOUT` `4s`
there: the embedded broker lets a worker join after half of its session timeout.
"""


def page() -> str:
    """Return the whole page."""
    return _HEAD + "\n".join(_rows()) + "\n" + _TAIL


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        default = shown_value(field.default)
        shown = f"`{default}`" if default not in (None, "") else ""
        if isinstance(field.default, bool):
            shown = f"`{int(field.default)}`"
        yield f"| `{PREFIX}{name.upper()}` | {shown} | {_values(field)} | {field.description or ''} |"


def _values(field: FieldInfo) -> str:
    kinds = set(_plain_types(field.annotation))
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    for kind, said in _SAID.items():
        if kind in kinds:
            return said + _bounds(field)
    return "text"


_SAID: Final[dict[Any, str]] = {
    bool: "`0` or `1`",
    int: "number",
    float: "number",
    timedelta: "duration",
    Path: "path",
    SecretStr: "secret",
}


def _plain_types(annotation: Any) -> Iterator[Any]:
    """Yield the types inside unions and annotations."""
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        for part in get_args(annotation):
            yield from _plain_types(part)
    else:
        yield annotation


def _bounds(field: FieldInfo) -> str:
    said = []
    for rule in field.metadata:
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            bound = getattr(rule, name, None)
            if isinstance(bound, int | float):
                said.append(f"{sign} {bound:g}")
    return f" {', '.join(said)}" if said else ""


if __name__ == "__main__":
    Path("docs/configuration.md").write_text(page(), encoding="utf-8")
