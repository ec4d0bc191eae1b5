"""Errors of the outside world, in the only two kinds a caller can act on."""

from __future__ import annotations

from postloop.domain.errors import PostloopError


class UnavailableError(PostloopError):
    """A broker, database or endpoint cannot be reached or cannot work now: waiting and trying again may help."""


class RefusedError(PostloopError):
    """The other side understood and said no (wrong password, wrong statement, missing table): repeating is useless.

    Attributes:
        code: The ClickHouse exception code or the Kafka error name, empty where neither was given.
    """

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class UnfitError(RefusedError):
    """A value does not fit into its column: the other rows of the same insert may well."""
