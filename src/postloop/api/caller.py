"""Who asks: the key of a request, and what a route may rely on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from postloop.api.problems import Problem
from postloop.api.state import Api, Shared

_bearer = HTTPBearer(auto_error=False, scheme_name="key", description="A key of `postloop key create`.")
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="postloop"'}
_INVALID: Final = {"WWW-Authenticate": 'Bearer realm="postloop", error="invalid_token"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of the key of a request.

    Attributes:
        account_id: Of an account's key; None: an operator, who sees everything.
    """

    kind: Literal["account", "operator"]
    account_id: str | None
    key_id: str


async def authenticated(
    request: Request, api: Shared, said: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Return who asks.

    Raises:
        Problem: 401: no key, or none that counts; 503: keys cannot be read yet.
    """
    if said is None:
        reason = "no_key" if "authorization" not in request.headers else "malformed"
        raise _refused(api, reason, "Send a key: Authorization: Bearer KEY.", _CHALLENGE)
    found = await api.keys.find(said.credentials)
    if isinstance(found, str):
        raise _refused(api, found, "The key does not exist, has expired or was revoked.", _INVALID)
    return Caller(kind=found.kind, account_id=found.account_id or None, key_id=found.key_id)


async def require_key(request: Request) -> None:
    """Return if the request has a key that counts, for those who must know before FastAPI resolves parameters.

    Raises:
        Problem: As `authenticated`.
    """
    await authenticated(request, request.app.state.api, await _bearer(request))


def _refused(api: Api, reason: str, text: str, headers: dict[str, str]) -> Problem:
    api.metrics.api_auth_failures_total.labels(reason=reason).inc()
    return Problem(401, "unauthorized", text, headers=headers)


Asking = Annotated[Caller, Depends(authenticated)]
"""The parameter of a route that needs a key: `caller: Asking`."""
