"""A TCP proxy in front of ClickHouse that drops the answer to some inserts after the server gave it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Forwards connections; for a share of the inserts of events it closes both ends instead of answering."""

    def __init__(self, target_port: int, *, cut_share: float, rng: random.Random) -> None:
        self._target_port = target_port
        self._cut_share = cut_share
        self._rng = rng
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut_count = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            state = {"is_insert": False}
            threading.Thread(target=self._requests, args=(client, server, state), daemon=True).start()
            threading.Thread(target=self._answers, args=(server, client, state), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, state: dict[str, bool]) -> None:
        while chunk := _receive(client):
            if b"insert_deduplication_token" in chunk:
                state["is_insert"] = True
            try:
                server.sendall(chunk)
            except OSError:
                break
        _close(client, server)

    def _answers(self, server: socket.socket, client: socket.socket, state: dict[str, bool]) -> None:
        while chunk := _receive(server):
            if state["is_insert"] and self._rng.random() < self._cut_share:
                self.cut_count += 1
                break
            state["is_insert"] = False
            try:
                client.sendall(chunk)
            except OSError:
                break
        _close(client, server)


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
