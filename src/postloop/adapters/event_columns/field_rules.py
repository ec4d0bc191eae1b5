"""What the published schema asks of each field, in a form that can be checked on a whole column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import pyarrow as pa

from postloop.contracts.events import MODELS
from postloop.domain.event_types import EventType

Kind = Literal["text", "time", "integer", "texts"]

_ARROW: Final[dict[Kind, pa.DataType]] = {
    "text": pa.string(),
    "time": pa.string(),
    "integer": pa.int64(),
    "texts": pa.list_(pa.string()),
}
_ANNOTATIONS: Final = frozenset({"title", "description", "default"})
# What `FieldRule` checks; a keyword that is not here would silently not be checked.
_KEYWORDS: Final[dict[Kind, frozenset[str]]] = {
    "text": frozenset({"type", "minLength", "maxLength", "enum"}),
    "time": frozenset({"type", "format", "pattern"}),
    "integer": frozenset({"type", "minimum", "maximum", "const"}),
    "texts": frozenset({"type", "items", "maxItems"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """One field of an event.

    Attributes:
        name: As on the wire.
        kind: What its JSON value is; a time is a text here.
        is_required: Absent is not allowed.
        is_nullable: null means absent; where it is not, null is an error.
        least: Fewest characters, or the smallest number; None: no such limit.
        most: Most characters, or the largest number; of `texts`, the most elements.
        most_each: Most characters of an element of `texts`.
        words: The only texts allowed; empty: any.
    """

    name: str
    kind: Kind
    is_required: bool
    is_nullable: bool
    least: int | None = None
    most: int | None = None
    most_each: int | None = None
    words: frozenset[str] = frozenset()

    @property
    def arrow_type(self) -> pa.DataType:
        """The type its column is read as."""
        return _ARROW[self.kind]


@cache
def field_rules(event_type: EventType) -> tuple[FieldRule, ...]:
    """Return the rules of an event type, from its JSON Schema.

    Raises:
        NotImplementedError: The schema asks for something that is not checked here.
    """
    schema = MODELS[event_type].model_json_schema()
    required = set(schema["required"])
    return tuple(
        _rule(name, field, is_required=name in required) for name, field in schema["properties"].items()
    )


def _rule(name: str, field: Mapping[str, Any], *, is_required: bool) -> FieldRule:
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    is_nullable = len(field.get("anyOf", [])) > len(options)
    if len(options) != 1:
        raise NotImplementedError(f"{name}: one type beside null, not {options}")
    kind, said = _kind(name, options[0]), options[0]
    unknown = set(said) - _ANNOTATIONS - _KEYWORDS[kind]
    if unknown:
        raise NotImplementedError(f"{name}: keywords that are not checked: {sorted(unknown)}")
    const = said.get("const")
    return FieldRule(
        name=name,
        kind=kind,
        is_required=is_required,
        is_nullable=is_nullable,
        least=const if const is not None else said.get("minLength", said.get("minimum")),
        most=const if const is not None else said.get("maxLength", said.get("maximum", said.get("maxItems"))),
        most_each=_most_each(name, said["items"]) if kind == "texts" else None,
        words=frozenset(said.get("enum", ())),
    )


def _kind(name: str, said: Mapping[str, Any]) -> Kind:
    match said:
        case {"type": "string", "format": "date-time"}:
            return "time"
        case {"type": "string"}:
            return "text"
        case {"type": "integer"}:
            return "integer"
        case {"type": "array", "items": {"type": "string"}}:
            return "texts"
    raise NotImplementedError(f"{name}: no column for {dict(said)}")


def _most_each(name: str, items: Mapping[str, Any]) -> int:
    if set(items) - _ANNOTATIONS != {"type", "maxLength"}:
        raise NotImplementedError(f"{name}: elements with keywords that are not checked: {dict(items)}")
    return int(items["maxLength"])
