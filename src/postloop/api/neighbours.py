"""Other processes over HTTP: the supervisor of `postloop up`, and workers whose health is shown."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

import aiohttp

_TIMEOUT_S: Final = 3.0
_MAX_BYTES: Final = 4_000_000


class Page(NamedTuple):
    """What a neighbour answered; status 0: nothing, and `body` says why."""

    status: int
    body: bytes


class Neighbours:
    """Asks neighbours; never raises because of them."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to ask."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def page(self, url: str) -> Page:
        """Return what a GET answers."""
        if self._session is None:
            return Page(0, b"not started")
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                return Page(answer.status, await answer.content.read(_MAX_BYTES))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Page(0, (str(error) or type(error).__name__).encode())

    async def states(self, urls: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Return by name whether each answers its address with 200, and what it said."""
        pages = await asyncio.gather(*(self.page(url) for url in urls.values()))
        return {
            name: {"ok": page.status == 200, "reason": _reason(page)}
            for name, page in zip(urls, pages, strict=True)
        }


def _reason(page: Page) -> str:
    if page.status == 200:
        return ""
    return f"answers {page.status}" if page.status else "does not answer"
