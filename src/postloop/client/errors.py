"""What a sender has to reckon with: the list is not there yet, or it may be out of date."""

from __future__ import annotations

from postloop.domain.errors import PostloopError


class NotReady(PostloopError):  # noqa: N818 - a state that passes, not a failure
    """The list was not read to its end yet, cannot be looked up for want of the key, or was closed."""


class Stale(PostloopError):  # noqa: N818 - a state that passes, not a failure
    """The list was read, and then nothing was heard of its topic for longer than the sender accepts."""
