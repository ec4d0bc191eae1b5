"""One HTTP request, read as ClickHouse reads it."""

import asyncio
import base64
import binascii
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_request import FileField
from multidict import MultiMapping

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.compression import choose_encoding, decoded
from postloop.embedded.chserver.configuration import ServerConfig
from postloop.embedded.chserver.errors import QueryError

# Read here, or meaningless in one process; the engine would refuse most of them as unknown settings.
_TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check",
        "close_session", "user", "password", "quota_key", "role", "compress", "decompress", "buffer_size",
        "wait_end_of_query", "client_protocol_version", "stacktrace", "send_progress_in_http_headers",
        "http_headers_progress_interval_ms", "enable_http_compression", "http_response_headers",
    }
)  # fmt: skip
_PARAM = "param_"
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Inquiry:
    """What a request asks: text is SQL, with an insert's data behind it."""

    text: bytes
    query_id: str
    settings: Mapping[str, str]
    params: Mapping[str, str]
    database: str | None
    default_format: str
    encoding: str | None
    wait_for_end: bool
    read_only: bool
    session_id: str | None


def _credentials(request: web.Request) -> tuple[str, str] | None:
    headers, query = request.headers, request.query
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise QueryError(errors.AUTHENTICATION_FAILED, "The Authorization header is damaged.") from error
        return user, password
    if "user" in query or "password" in query:
        return query.get("user", "default"), query.get("password", "")
    return None


def check_access(request: web.Request, config: ServerConfig) -> None:
    """Check user and password, when the server has them.

    Raises:
        QueryError: none were sent (401), or wrong ones (403), as ClickHouse answers.
    """
    if config.user is None:
        return
    found = _credentials(request)
    if found is None:
        raise QueryError(errors.REQUIRED_PASSWORD, "User and password are required.")
    # Both are compared in constant time and the message tells neither.
    user_fits = hmac.compare_digest(found[0].encode(), config.user.encode())
    if not hmac.compare_digest(found[1].encode(), config.password.encode()) or not user_fits:
        raise QueryError(errors.AUTHENTICATION_FAILED, "Authentication failed: user or password is wrong.")


async def _raw_body(request: web.Request, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    total = request.content_length or 0
    received = 0
    if total <= max_bytes:
        async for piece in request.content.iter_any():
            pieces.append(piece)
            received += len(piece)
            total = received
            if received > max_bytes:
                break
    if total > max_bytes:
        raise QueryError(errors.TOO_LARGE, f"The request body is larger than {max_bytes} bytes.")
    return b"".join(pieces)


async def _form(request: web.Request) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, FileField) or not isinstance(value, str):
            raise QueryError(
                errors.NOT_IMPLEMENTED, f"External data ({name}) is not supported; insert it into a table."
            )
        fields[name] = value
    return fields


async def _read(request: web.Request, config: ServerConfig) -> tuple[dict[str, str], bytes]:
    """Return form fields and body, read to the end within the time limit.

    A client that was paused while it sent an insert must not see it executed long after: others have acted
    meanwhile on what was not stored.
    """
    try:
        async with asyncio.timeout(config.body_timeout_s):
            if request.content_type == "multipart/form-data":
                return await _form(request), b""
            return {}, await _raw_body(request, config.max_body_bytes)
    except TimeoutError as error:
        raise QueryError(
            errors.TIMEOUT_EXCEEDED,
            f"The request body did not arrive within {config.body_timeout_s:g} s; nothing was run.",
        ) from error


def _is_true(values: Mapping[str, str], name: str, default: str = "0") -> bool:
    return values.get(name, default).lower() in _TRUE


def _refuse_blocks(values: Mapping[str, str]) -> None:
    for name, instead in (("compress", "Accept-Encoding"), ("decompress", "Content-Encoding")):
        if _is_true(values, name):
            raise QueryError(
                errors.NOT_IMPLEMENTED,
                f"{name}=1 (ClickHouse's own blocks) is not supported; use {instead}: lz4 or zstd.",
            )


def _values(query: MultiMapping[str], fields: Mapping[str, str]) -> dict[str, str]:
    return {**dict(query.items()), **fields}


async def read_inquiry(request: web.Request, config: ServerConfig) -> Inquiry:
    """Read a request to its end.

    Raises:
        QueryError: too late, too large, damaged, or a feature that is not there.
    """
    fields, raw = await _read(request, config)
    values = _values(request.query, fields)
    _refuse_blocks(values)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    # Decompressing 256 MiB takes a second, in which nobody else would be served.
    body = (
        await asyncio.to_thread(decoded, raw, encoding, max_bytes=config.max_body_bytes) if encoding else raw
    )
    text = b"\n".join(part for part in (values.get("query", "").encode(), body) if part)
    compressed = _is_true(values, "enable_http_compression", "1")
    return Inquiry(
        text=text,
        query_id=values.get("query_id") or str(uuid.uuid4()),
        settings={k: v for k, v in values.items() if k not in _TRANSPORT and not k.startswith(_PARAM)},
        params={k.removeprefix(_PARAM): v for k, v in values.items() if k.startswith(_PARAM)},
        database=values.get("database") or request.headers.get("X-ClickHouse-Database") or None,
        default_format=values.get("default_format")
        or request.headers.get("X-ClickHouse-Format")
        or "TabSeparated",
        encoding=choose_encoding(request.headers.get("Accept-Encoding", "")) if compressed else None,
        wait_for_end=_is_true(values, "wait_end_of_query"),
        read_only=request.method == "GET",
        session_id=values.get("session_id") or None,
    )
