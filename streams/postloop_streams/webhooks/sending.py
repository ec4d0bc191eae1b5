"""Making attempts: from a job to what came of it."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import structlog

from postloop.adapters import clock
from postloop.adapters.webhook_http import WebhookSender
from postloop.adapters.webhook_keys import signer_of
from postloop.adapters.webhook_line import Destination
from postloop.adapters.webhook_result import AttemptResult
from postloop.contracts.webhook_attempt import MAX_RESPONSE_CHARS
from postloop.domain.errors import DataError
from postloop.domain.recipient import without_addresses
from postloop.domain.webhook.addresses import parse_networks
from postloop.domain.webhook.endpoint import Endpoint
from postloop.domain.webhook.schedule import Answer
from postloop.domain.webhook.target import parse_target
from postloop_streams.webhooks.desk import Ended, Job

log = structlog.stdlib.get_logger("postloop.webhooks")

_MAX_DESTINATIONS: Final = 10_000
# Looked at of an answer: a word that is hidden is whole in what is kept of it.
_READ_BYTES: Final = 8_192
# Of the value of a header, what is hidden: as a whole, and its longer words, for `Bearer` may be missing.
_SHORT_CHARS: Final = 4
_LONG_CHARS: Final = 8
_signer = lru_cache(maxsize=20_000)(signer_of)


class Attempts:
    """Sends jobs; one destination is kept for each version of an endpoint."""

    def __init__(self, sender: WebhookSender) -> None:
        self._sender = sender
        self._destinations: OrderedDict[str, tuple[int, Destination]] = OrderedDict()

    async def make(self, job: Job) -> Ended:
        """Make one attempt; never raises for what a receiver does."""
        endpoint = job.endpoint
        try:
            result = await self._sender.send(
                self._destination(endpoint),
                message_id=job.message_id,
                body=job.body,
                signers=[_signer(text) for text in endpoint.signing_secrets(now_ms=clock.now_ms())],
            )
        except DataError as error:
            log.error("endpoint_unusable", endpoint_id=endpoint.endpoint_id, reason=error.text)
            result = AttemptResult(error="internal", reason=error.text)
        except Exception as error:  # a fault of ours must not take the endpoint's slot for ever
            log.exception("attempt_failed", endpoint_id=endpoint.endpoint_id)
            result = AttemptResult(error="internal", reason=type(error).__name__)
        return Ended(
            job=job,
            answer=Answer(status=result.status, error=result.error, retry_after=result.retry_after),
            at_ms=clock.now_ms(),
            latency_ms=result.latency_ms,
            response=_response(result, job),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()

    def _destination(self, endpoint: Endpoint) -> Destination:
        kept = self._destinations.get(endpoint.endpoint_id)
        if kept is not None and kept[0] == endpoint.version:
            return kept[1]
        made = Destination(
            endpoint_id=endpoint.endpoint_id,
            target=parse_target(endpoint.url),
            headers=MappingProxyType({header.name: header.value for header in endpoint.headers}),
            allowed=parse_networks(endpoint.allowed_networks),
        )
        self._destinations[endpoint.endpoint_id] = (endpoint.version, made)
        if len(self._destinations) > _MAX_DESTINATIONS:
            self._destinations.popitem(last=False)
        return made


def _response(result: AttemptResult, job: Job) -> str:
    """Return what the log keeps of an answer: its beginning, or why there is none.

    Some receivers repeat the request in their page of errors: what was sent is left out, the customer's own headers
    most of all, and whatever looks like an address. A stranger's text is shown in terminals: no control characters.
    """
    if result.reason:
        return result.reason[:MAX_RESPONSE_CHARS]
    if not result.answer:
        return ""
    text = result.answer[:_READ_BYTES].replace(job.body, b"(the request)").decode("utf-8", "replace")
    for header in job.endpoint.headers:
        for said in (header.value, *(word for word in header.value.split() if len(word) >= _LONG_CHARS)):
            text = text.replace(said, "***") if len(said) >= _SHORT_CHARS else text
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in without_addresses(text))
    return text[:MAX_RESPONSE_CHARS]
