"""Postloop's published contracts as data: JSON Schemas, samples, and the migrations of the database."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

RECIPIENT_TEST_KEY = b"postloop-test-key"

_ROOT = files(__name__)
_RECIPIENTS = "recipients.v1"


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of a topic, as it may stand on the wire.

    `accepted` tells whether it is valid, `reason` why it is here; a refused one names the `code` and the
    `field` of its first error.
    """

    accepted: bool
    reason: str
    value: str
    code: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class RecipientSample:
    """One spelling of a recipient, for those who canonicalise and hash in another language.

    `canonical` is what is compared and hashed; a recipient that is not `valid` is compared as it was given.
    `hmac_sha256` is the hexadecimal HMAC-SHA256 of the canonical form in UTF-8 under RECIPIENT_TEST_KEY, None when
    the recipient is not valid.
    """

    input: str
    canonical: str
    valid: bool
    hmac_sha256: str | None


def topic_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a topic, e.g. `email.bounce` or `email.bounce.v1`.

    Raises:
        KeyError: no schema is published under this name.
    """
    versioned = name if name.rpartition(".")[2].startswith("v") else f"{name}.v1"
    path = _ROOT / "topics" / f"{versioned}.json"
    if not path.is_file():
        raise KeyError(name)
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def topic_names() -> tuple[str, ...]:
    """Return the versioned names of all published topics, e.g. `email.bounce.v1`."""
    names = (path.name for path in (_ROOT / "topics").iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def samples(name: str) -> tuple[Sample, ...]:
    """Return the sample records of a topic, accepted and refused ones.

    Raises:
        KeyError: there are no samples under this name.
    """
    versioned = name if name.rpartition(".")[2].startswith("v") else f"{name}.v1"
    path = _ROOT / "samples" / f"{versioned}.jsonl"
    if versioned == _RECIPIENTS or not path.is_file():
        raise KeyError(name)
    return tuple(Sample(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line)


def recipient_samples() -> tuple[RecipientSample, ...]:
    """Return spellings of recipients with their canonical and hashed forms."""
    lines = (_ROOT / "samples" / f"{_RECIPIENTS}.jsonl").read_text(encoding="utf-8").split("\n")
    return tuple(RecipientSample(**json.loads(line)) for line in lines if line)


def migrations(kind: str = "clickhouse") -> tuple[tuple[str, str], ...]:
    """Return (file name, text) of the numbered migrations of a database, in the order of their numbers."""
    folder = _ROOT / kind
    if not folder.is_dir():
        return ()
    found = {path.name: path for path in folder.iterdir() if path.name.endswith(".sql")}
    return tuple((name, found[name].read_text(encoding="utf-8")) for name in sorted(found))
