"""The health of sender domains: the worst first, and one in full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Path, Query, Response

from postloop.adapters.clock import utc_now
from postloop.adapters.domain_health import (
    RUNNING,
    Health,
    Standing,
    document,
    read_parts,
    standings,
    summary,
)
from postloop.adapters.domain_reader import DomainReader, PoolChange
from postloop.adapters.reputation_store import CurrentRow, ListPlace, ReputationReader, Subject
from postloop.api.caller import Asking, Caller
from postloop.api.domain_models import DomainAnswer, DomainHealth, DomainPage, DomainSummary
from postloop.api.examples import DOMAIN, DOMAINS, example
from postloop.api.openapi import WITH_KEY, errors
from postloop.api.path_text import ANY_TEXT
from postloop.api.problems import Problem
from postloop.api.scope import MAX_TEXT_CHARS, AccountId, Cursor, account_of, refused
from postloop.api.state import Api, Shared
from postloop.contracts.cursor import cursor_of, place_of
from postloop.domain.errors import DataError
from postloop.domain.reputation import Evidence

router = APIRouter(tags=["domains"], responses=WITH_KEY)

T = TypeVar("T")

MAX_DOMAINS: Final = 200
# An operator's answer about a domain that many accounts send from; account_id asks for any other.
_MAX_ACCOUNTS: Final = 10
# Everything about so many accounts is asked for at once: each is four questions at most, and more than 60 of all
# requests may not wait for ClickHouse.
_AT_ONCE: Final = 5


@router.get(
    "/v1/domains", summary="Sender domains, the worst first", responses={**errors(404), **example(DOMAINS)}
)
async def list_domains(
    caller: Asking,
    api: Shared,
    limit: Annotated[int, Query(ge=1, le=MAX_DOMAINS, description="Domains of a page.")] = 20,
    cursor: Cursor = None,
    account_id: AccountId = None,
) -> DomainPage:
    """List grade, score, rates and open rate of sender domains; those with an unknown grade come last."""
    account = account_of(caller, account_id)
    try:
        after = _place(cursor) if cursor else None
    except DataError as error:
        raise refused(error) from None
    return await read_domains(api, account_id=account, limit=limit, after=after)


async def read_domains(
    api: Api, *, account_id: str | None, limit: int, after: ListPlace | None = None
) -> DomainPage:
    """Return a page of sender domains, of one account or of all, the worst first."""
    rows = await api.warehouse.ask(
        lambda client: ReputationReader(client, api.settings).current(
            account_id=account_id, limit=limit + 1, after=after
        )
    )
    page = rows[:limit]
    pairs = [(row.account_id, row.sender_domain) for row in page]
    opens = await api.warehouse.ask(lambda client: DomainReader(client, api.settings).open_rates(pairs))
    return DomainPage(
        domains=[
            DomainSummary(**summary(row), open_rate=opens.get(pair))
            for row, pair in zip(page, pairs, strict=True)
        ],
        next_cursor=cursor_of(page[-1].place) if len(rows) > limit else None,
    )


def _place(cursor: str) -> ListPlace:
    score, negative_count, account_id, sender_domain = place_of(cursor, (int, float), int, str, str)
    return float(score), negative_count, account_id, sender_domain


@router.get(
    f"/v1/domains/{{sender_domain:{ANY_TEXT}}}",
    summary="The health of a sender domain",
    response_model=DomainAnswer,
    responses={**errors(404), **example(DOMAIN)},
)
async def show_domain(
    caller: Asking,
    api: Shared,
    sender_domain: Annotated[
        str, Path(min_length=1, max_length=MAX_TEXT_CHARS, description="Exactly as in its events.")
    ],
    account_id: AccountId = None,
    parts: Annotated[
        bool,
        Query(
            description="Also the verdicts by mailbox provider and IP pool, how its IP pools changed as a whole (for "
            "operators), and Tencent's level: takes longer."
        ),
    ] = False,
) -> Response:
    """Tell rates with their intervals, score, reasons, what to do, opens, delivery times, and series for charts.

    Who asks for the same within five seconds gets the same answer.
    """
    account = account_of(caller, account_id)

    async def make() -> bytes:
        found = await _answer(api, caller, account, sender_domain, with_parts=parts)
        return found.model_dump_json(by_alias=True).encode()

    # An account and an operator are told different things, also where the operator names the account.
    key = (caller.account_id, account, sender_domain, parts)
    return Response(await api.domains.get(key, make), media_type="application/json")


async def _answer(
    api: Api, caller: Caller, account: str | None, sender_domain: str, *, with_parts: bool
) -> DomainAnswer:
    now = utc_now()

    async def rest(subject: Subject) -> dict[str, Any]:
        return await _rest(api, subject, caller, now, with_parts=with_parts)

    if account is None:
        found, rests = await _of_all_accounts(api, sender_domain, rest, now)
    else:
        subject = Subject(account, sender_domain)
        evidence, current, own = await asyncio.gather(
            _evidence(api, account, sender_domain, now),
            _current(api, account, sender_domain),
            rest(subject),
        )
        found, rests = standings(evidence, current), [own]
    if not found:
        raise Problem(404, "not_found", "Nothing was sent from this domain in the last 30 days.")
    unasked = {} if with_parts else dict.fromkeys(("mailbox_providers", "ip_pools", "pools", "tencent"))
    return DomainAnswer(
        sender_domain=sender_domain,
        accounts=[
            DomainHealth(**{**document(_health(*one), policy=api.policy), **unasked})
            for one in zip(found, rests, strict=False)
        ],
        is_complete=len(found) <= _MAX_ACCOUNTS,
    )


async def _of_all_accounts(
    api: Api, domain: str, rest: Callable[[Subject], Awaitable[dict[str, Any]]], now: datetime
) -> tuple[list[Standing], list[dict[str, Any]]]:
    """Return how every account stands that sends from a domain, and the rest about the first of them.

    Whose mail it is takes longest to find out. Meanwhile those are asked about of whom something was said before.
    """
    current = await _current(api, None, domain)
    judged = [Subject(row.account_id, row.sender_domain) for row in current[:_AT_ONCE]]
    evidence, *early = await asyncio.gather(_evidence(api, None, domain, now), *map(rest, judged))
    rests = dict(zip(judged, early, strict=True))
    found = standings(evidence, current)
    wanted = [subject for subject, *_ in found[:_MAX_ACCOUNTS]]
    others = [subject for subject in wanted if subject not in rests]
    for first in range(0, len(others), _AT_ONCE):
        some = others[first : first + _AT_ONCE]
        rests |= zip(some, await asyncio.gather(*map(rest, some)), strict=True)
    return found, [rests[subject] for subject in wanted]


async def _evidence(
    api: Api, account: str | None, domain: str, now: datetime
) -> list[tuple[Subject, Evidence]]:
    return await api.warehouse.ask(
        lambda client: _reputation(client, api).evidence_of(account, domain, as_of=now + RUNNING)
    )


async def _current(api: Api, account: str | None, domain: str) -> list[CurrentRow]:
    return await api.warehouse.ask(
        lambda client: _reputation(client, api).current(domain, account_id=account, limit=_MAX_ACCOUNTS + 1)
    )


async def _rest(
    api: Api, subject: Subject, caller: Caller, now: datetime, *, with_parts: bool
) -> dict[str, Any]:
    """Return the rest of `Health`, asked for side by side.

    How a pool did as a whole tells about others that send over it, so an account is not told. How its own mail did over
    each pool it is.
    """
    pair = subject.account_id, subject.sender_domain

    async def ask(question: Callable[[DomainReader], T]) -> T:
        return await api.warehouse.ask(lambda client: question(DomainReader(client, api.settings)))

    async def by_part() -> dict[str, Any]:
        if not with_parts:
            return {}
        return await api.warehouse.ask(lambda client: read_parts(_reputation(client, api), subject, now=now))

    async def pools() -> list[PoolChange]:
        return (
            await ask(lambda reader: reader.pools(*pair)) if with_parts and caller.account_id is None else []
        )

    parts, changes, past, latencies = await asyncio.gather(
        by_part(),
        pools(),
        ask(lambda reader: reader.past(*pair, now=now)),
        ask(lambda reader: reader.latencies(*pair)),
    )
    return {"opens": past.opens, "series": past.series, "latencies": latencies, "pools": changes, **parts}


def _reputation(client: Client, api: Api) -> ReputationReader:
    return ReputationReader(client, api.settings, representative_count=api.policy.representative_count)


def _health(standing: Standing, rest: dict[str, Any]) -> Health:
    subject, evidence, current = standing
    return Health(subject=subject, evidence=evidence, current=current, **rest)
