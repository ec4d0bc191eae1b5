"""From a request to its answer: admission, engine, reply."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from aiohttp import web

from postloop.embedded.chserver import errors, reply, work
from postloop.embedded.chserver.compression import Encoder, encoder
from postloop.embedded.chserver.configuration import ServerConfig
from postloop.embedded.chserver.drops import without_wait
from postloop.embedded.chserver.engine import Engine, Result, Scope
from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.inquiry import Inquiry, check_access, read_inquiry
from postloop.embedded.chserver.metrics import ServerMetrics
from postloop.embedded.chserver.query_ids import ID_SETTING, with_carried_ids
from postloop.embedded.chserver.running import Places, Running, Ticket
from postloop.embedded.chserver.sessions import Sessions
from postloop.embedded.chserver.statement import Kind, Statement, read_statement

_T = TypeVar("_T")
_LOOK_AT_CLIENT_S = 0.25
# KILL and the look at running queries never wait behind the queries they are about.
_CONTROL_PLACES = 2
_log = structlog.get_logger("postloop.clickhouse")


class Service:
    """Answers the requests of one server."""

    def __init__(self, config: ServerConfig, engine: Engine, metrics: ServerMetrics) -> None:
        self._config = config
        self._engine = engine
        self._metrics = metrics
        self._places = Places(
            config.max_queries, reserved=config.reserved_queries, wait_s=config.queue_timeout_s
        )
        self._control = asyncio.Semaphore(_CONTROL_PLACES)
        self._sessions = Sessions()
        self._threads = ThreadPoolExecutor(
            config.max_queries + 2 * _CONTROL_PLACES, thread_name_prefix="clickhouse"
        )
        self._baseline: dict[str, str] = {}
        self.running = Running()
        self.is_stopping = False

    async def start(self) -> None:
        """Open the engine; it has answered a query when this returns."""
        await self._in_thread(self._engine.open)
        self._baseline = await self._in_thread(self._read_baseline)

    def _read_baseline(self) -> dict[str, str]:
        with self._engine.session(Scope()) as session:
            return work.changed_settings(session)

    def _in_thread(self, call: Callable[..., _T], *arguments: object) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def check_ready(self) -> None:
        """Ask the engine.

        Raises:
            QueryError: it does not answer, or the server is stopping.
        """
        if self.is_stopping:
            raise QueryError(errors.ABORTED, "The server is stopping.")
        async with self._control:
            await self._in_thread(work.running_ids, self._engine)

    async def cancel_all(self) -> None:
        """End every query that still runs."""
        for query_id in await self._in_thread(work.running_ids, self._engine):
            if query_id:
                await self._in_thread(work.cancel, self._engine, query_id)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that carries a statement."""
        ticket = self.running.arrive()
        self._metrics.in_flight.inc()
        try:
            if self.is_stopping:
                raise QueryError(errors.ABORTED, "The server is stopping.")
            check_access(request, self._config)
            inquiry = await read_inquiry(request, self._config)
            self.running.name(ticket, inquiry.query_id)
            return await self._answer(request, inquiry, ticket)
        except QueryError as error:
            found = reply.headers(
                query_id=ticket.query_id, timezone=self._engine.timezone, output_format=None
            )
            return reply.failure(error, version=self._engine.version, found=found)
        finally:
            self._metrics.in_flight.dec()
            self.running.leave(ticket)

    async def _answer(self, request: web.Request, inquiry: Inquiry, ticket: Ticket) -> web.StreamResponse:
        statement = read_statement(inquiry.text)
        kind = statement.kind.value
        started_s = time.monotonic()
        try:
            async with self._place(statement, ticket):
                if await reply.is_gone_by_now(request):
                    # Its client has given up and may already have sent it again, or handed over.
                    raise reply.ClientGoneError
                ticket.settled.set()
                started_s = time.monotonic()
                return await self._run(request, inquiry, statement, ticket)
        except QueryError as error:
            self._metrics.failures.labels(kind, error.status).inc()
            _log.info("query_failed", query_id=inquiry.query_id, kind=kind, code=error.code, name=error.name)
            raise
        except (reply.ClientGoneError, ConnectionError):
            _log.info("client_gone", query_id=inquiry.query_id, kind=kind)
            return web.Response(status=499)
        finally:
            self._metrics.queries.labels(kind).inc()
            self._metrics.seconds.labels(kind).observe(time.monotonic() - started_s)

    @asynccontextmanager
    async def _place(self, statement: Statement, ticket: Ticket) -> AsyncIterator[None]:
        if statement.kind is not Kind.KILL:
            async with self._places.taken(writes=not statement.returns_rows):
                yield
            return
        limit_s = self._config.queue_timeout_s + self._config.body_timeout_s
        await self.running.settle_before(ticket, self._running_ids, limit_s=limit_s)
        async with self._control:
            yield

    async def _running_ids(self) -> frozenset[str]:
        return await self._in_thread(work.running_ids, self._engine)

    async def _run(
        self, request: web.Request, inquiry: Inquiry, statement: Statement, ticket: Ticket
    ) -> web.StreamResponse:
        if statement.kind is Kind.INSERT:
            return await self._insert(inquiry, statement, ticket)
        if statement.kind in (Kind.SET, Kind.USE) and inquiry.session_id is not None:
            return await self._change_session(inquiry, inquiry.session_id, statement)
        return await self._result(request, inquiry, statement, ticket)

    def _plan(self, inquiry: Inquiry, statement: Statement, *, own_settings: bool = True) -> work.Plan:
        session = self._sessions.get(inquiry.session_id)
        settings = session.settings | (dict(inquiry.settings) if own_settings else {})
        scope = Scope(
            settings=settings | {ID_SETTING: inquiry.query_id},
            database=inquiry.database or session.database,
            params=inquiry.params,
            read_only=inquiry.read_only,
        )
        output_format = statement.format or inquiry.default_format
        sql = without_wait(statement) if statement.kind is Kind.OTHER else with_carried_ids(statement)
        return work.Plan(statement, sql, output_format, scope)

    def _headers(
        self, inquiry: Inquiry, output_format: str | None, encoding: str | None = None
    ) -> dict[str, str]:
        timezone = inquiry.settings.get("session_timezone") or self._engine.timezone
        return reply.headers(
            query_id=inquiry.query_id, timezone=timezone, output_format=output_format, encoding=encoding
        )

    async def _insert(self, inquiry: Inquiry, statement: Statement, ticket: Ticket) -> web.Response:
        started_s = time.monotonic()
        # Not watched: an insert whose client went away is finished, as ClickHouse does.
        result = await self._in_thread(
            work.run_insert, self._engine, self._plan(inquiry, statement), inquiry.text
        )
        ticket.is_done = True
        found = self._headers(inquiry, None)
        found["X-ClickHouse-Summary"] = reply.summary(
            result, written=True, elapsed_s=time.monotonic() - started_s
        )
        if statement.insert is not None:
            self._metrics.inserted_rows.inc(result.rows)
            self._metrics.inserted_bytes.inc(len(inquiry.text) - statement.insert.data_start)
        return web.Response(headers=found)

    async def _change_session(self, inquiry: Inquiry, session_id: str, statement: Statement) -> web.Response:
        plan = self._plan(inquiry, statement, own_settings=False)
        state = self._sessions.get(session_id)
        changed = await self._in_thread(work.run_for_session, self._engine, plan, self._baseline, state)
        self._sessions.put(session_id, changed)
        return web.Response(headers=self._headers(inquiry, None))

    async def _result(
        self, request: web.Request, inquiry: Inquiry, statement: Statement, ticket: Ticket
    ) -> web.StreamResponse:
        plan = self._plan(inquiry, statement)
        started_s = time.monotonic()
        watched = statement.returns_rows and statement.kind is not Kind.KILL
        blocks = await self._watched(
            request, inquiry, self._in_thread(work.open_blocks, self._engine, plan), watched
        )
        squeeze = encoder(inquiry.encoding)
        if blocks.is_short:
            ticket.is_done = True
            body = work.pack(blocks, squeeze)
            found = self._headers_of_whole(inquiry, plan, blocks.total, started_s=started_s)
            return web.Response(body=body, headers=found)  # head and body in one piece
        if inquiry.wait_for_end or blocks.is_whole:
            gathering = self._in_thread(work.gather, blocks, squeeze)
            spool, total = await self._watched(request, inquiry, gathering, watched)
            ticket.is_done = True
            with spool:
                found = self._headers_of_whole(inquiry, plan, total, started_s=started_s)
                outlet = reply.Outlet(request, found, send_timeout_s=self._config.send_timeout_s)
                await outlet.send_file(spool)
                return outlet.response
        try:
            return await self._stream(request, inquiry, plan, blocks, squeeze)
        finally:
            if not blocks.is_closed:
                await self._in_thread(blocks.close)
            ticket.is_done = True

    def _headers_of_whole(
        self, inquiry: Inquiry, plan: work.Plan, total: Result, *, started_s: float
    ) -> dict[str, str]:
        has_rows = plan.statement.returns_rows or total.rows > 0
        found = self._headers(inquiry, plan.output_format if has_rows else None, inquiry.encoding)
        found["X-ClickHouse-Summary"] = reply.summary(
            total, written=False, elapsed_s=time.monotonic() - started_s
        )
        return found

    async def _stream(
        self, request: web.Request, inquiry: Inquiry, plan: work.Plan, blocks: work.Blocks, squeeze: Encoder
    ) -> web.StreamResponse:
        found = self._headers(inquiry, plan.output_format, inquiry.encoding)
        found["X-ClickHouse-Summary"] = reply.summary(Result(b""), written=False, elapsed_s=0)
        outlet = reply.Outlet(request, found, send_timeout_s=self._config.send_timeout_s)
        await outlet.open()
        try:
            while True:
                piece = await self._watched(
                    request, inquiry, self._in_thread(work.next_piece, blocks, squeeze), True
                )
                if piece is None:
                    break
                if piece:
                    await outlet.send(piece)
            await outlet.send(squeeze.finish())
        except QueryError as error:
            self._metrics.failures.labels(plan.statement.kind.value, error.status).inc()
            _log.info(
                "query_failed", query_id=inquiry.query_id, code=error.code, name=error.name, part_sent=True
            )
            ending = reply.broken_off(error, version=self._engine.version, tag=outlet.tag)
            await outlet.send(squeeze.feed(ending) + squeeze.finish())
            outlet.cut()
        return outlet.response

    async def _watched(
        self, request: web.Request, inquiry: Inquiry, future: asyncio.Future[_T], watched: bool
    ) -> _T:
        """Wait for a read; when its client goes away, end it instead of finishing it for nobody."""
        is_cancelled = not watched
        while True:
            done, _ = await asyncio.wait({future}, timeout=_LOOK_AT_CLIENT_S)
            if done:
                return future.result()
            if not is_cancelled and reply.is_gone(request):
                is_cancelled = True
                self._metrics.cancelled.inc()
                await self._in_thread(work.cancel, self._engine, inquiry.query_id)
