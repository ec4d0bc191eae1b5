"""Which endpoints an event is told to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from postloop.domain.webhook.endpoint import Endpoint
from postloop.domain.webhook.event_types import OPERATOR_TYPES
from postloop.domain.webhook.notice import Notice

_OPERATOR: Final = None
"""The account of an operator's endpoints."""


class Directory:
    """All endpoints, found by who may hear of an event; changed one endpoint at a time."""

    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._by_id: dict[str, Endpoint] = {}
        self._by_owner: defaultdict[tuple[str | None, str], set[str]] = defaultdict(set)
        for endpoint in endpoints:
            self.put(endpoint)

    def put(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or replace it by a newer version of itself."""
        self.remove(endpoint.endpoint_id)
        self._by_id[endpoint.endpoint_id] = endpoint
        for name in endpoint.wanted_types:
            self._by_owner[endpoint.account_id, name].add(endpoint.endpoint_id)

    def remove(self, endpoint_id: str) -> None:
        """Forget an endpoint; one that is not there is no error."""
        endpoint = self._by_id.pop(endpoint_id, None)
        if endpoint is None:
            return
        for name in endpoint.wanted_types:
            ids = self._by_owner[endpoint.account_id, name]
            ids.discard(endpoint_id)
            if not ids:
                del self._by_owner[endpoint.account_id, name]

    def get(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint."""
        return self._by_id.get(endpoint_id)

    def all(self) -> list[Endpoint]:
        """Return every endpoint, sorted by id."""
        return [self._by_id[name] for name in sorted(self._by_id)]

    def is_wanted(self, notice_type: str, account_id: str) -> bool:
        """Return whether any endpoint of an account hears of a type: a cheap question before a notice is made."""
        return (account_id, notice_type) in self._by_owner

    def is_wanted_by_any(self, notice_type: str) -> bool:
        """Return whether any endpoint at all hears of a type."""
        return any(name == notice_type for _, name in self._by_owner)

    def receivers(self, notice: Notice) -> list[Endpoint]:
        """Return the endpoints that hear of an event, whatever their state, sorted by id.

        An account hears of what concerns it; the operator of alerts and disabled endpoints, all of them.
        """
        owners: set[str | None] = set(notice.account_ids)
        if notice.type in OPERATOR_TYPES:
            owners.add(_OPERATOR)
        ids = {name for owner in owners for name in self._by_owner.get((owner, notice.type), ())}
        return [self._by_id[name] for name in sorted(ids) if passes(self._by_id[name], notice)]


def passes(endpoint: Endpoint, notice: Notice) -> bool:
    """Return whether an event passes the filters of an endpoint. What an event does not say passes.

    That an endpoint was disabled is told to the others: by itself it could not be told.
    """
    if notice.type == "webhook.endpoint_disabled" and notice.data.get("endpoint_id") == endpoint.endpoint_id:
        return False
    filters = endpoint.filters
    if filters.final_failures_only and notice.type == "email.delayed":
        return False
    if filters.sender_domains and notice.sender_domain and notice.sender_domain not in filters.sender_domains:
        return False
    return not (filters.mail_classes and notice.mail_class and notice.mail_class not in filters.mail_classes)
