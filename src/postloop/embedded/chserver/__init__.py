"""The ClickHouse engine in process, behind ClickHouse's HTTP protocol: one machine, loopback only."""

from postloop.embedded.chserver.command import main
from postloop.embedded.chserver.configuration import ServerConfig
from postloop.embedded.chserver.server import run_server

__all__ = ["ServerConfig", "main", "run_server"]
