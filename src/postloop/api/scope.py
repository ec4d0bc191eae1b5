"""Whose things a request may see, and how a wrong parameter is refused."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Query

from postloop.api.caller import Caller
from postloop.api.problems import Problem
from postloop.contracts.cursor import MAX_CURSOR_CHARS
from postloop.domain.errors import DataError

MAX_TEXT_CHARS: Final = 998
Text = Annotated[str, Query(min_length=1, max_length=MAX_TEXT_CHARS)]
AccountId = Annotated[
    str | None,
    Query(min_length=1, max_length=MAX_TEXT_CHARS, description="For operators: only of this account."),
]
Lang = Annotated[Literal["en", "id"], Query(description="Language of the sentences.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=MAX_CURSOR_CHARS,
        pattern="^[A-Za-z0-9_-]+$",
        description="`next_cursor` of the page before; left out: the first page.",
    ),
]


def account_of(caller: Caller, account_id: str | None) -> str | None:
    """Return whose things are asked for; None: everybody's, which only an operator can ask.

    Raises:
        Problem: 404, an account asks for another one: it does not exist for it.
    """
    if caller.account_id is None:
        return account_id
    if account_id not in (None, caller.account_id):
        raise Problem(404, "not_found", "There is no such account.")
    return caller.account_id


def refused(error: DataError) -> Problem:
    """Return the answer to a parameter that only its reader could find wrong."""
    wrong = {"field": error.field, "code": error.code, "text": error.text}
    named = "" if error.text.startswith(error.field) else f"{error.field}: "
    return Problem(422, "invalid_request", f"{named}{error.text}", errors=[wrong])
