"""The command line of the embedded ClickHouse server."""

import argparse
import logging
from pathlib import Path

import structlog

from postloop.embedded.chserver.configuration import MIB, ServerConfig, WrongUsageError, default_memory_bytes
from postloop.embedded.chserver.server import run_server


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="postloop clickhouse",
        description="The ClickHouse engine behind ClickHouse's HTTP protocol, for one machine.",
    )
    parser.add_argument("--path", type=Path, required=True, help="data directory, created when missing")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=8123, help="port; 0 takes a free one and says which")
    parser.add_argument("--user", help="refuse every other user")
    parser.add_argument("--password-file", type=Path, help="file with the password of --user")
    parser.add_argument("--max-queries", type=int, default=8, help="statements at once")
    parser.add_argument(
        "--max-memory-mb", type=int, help="memory of the engine, default half of the machine, at most 4096"
    )
    parser.add_argument(
        "--body-timeout-s", type=float, default=5.0, help="time a request's body may take to arrive"
    )
    parser.add_argument(
        "--queue-timeout-s", type=float, default=10.0, help="time a statement may wait for a place"
    )
    parser.add_argument("--log-json", action="store_true", help="one JSON object a line")
    return parser


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise WrongUsageError(f"--password-file {path} cannot be read: {error.strerror}.") from error


def _config(options: argparse.Namespace) -> ServerConfig:
    if options.password_file is not None and options.user is None:
        raise WrongUsageError("--password-file needs --user.")
    memory = options.max_memory_mb * MIB if options.max_memory_mb is not None else default_memory_bytes()
    return ServerConfig(
        path=options.path,
        host=options.host,
        port=options.port,
        user=options.user,
        password=_password(options.password_file),
        max_queries=options.max_queries,
        body_timeout_s=options.body_timeout_s,
        queue_timeout_s=options.queue_timeout_s,
        max_memory_bytes=memory,
        json_log=options.log_json,
    )


def configure_log(*, as_json: bool) -> None:
    """Send the log to standard output, as JSON lines or for a person."""
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the server. Exit code 0 after a stop, 2 when it cannot start as told."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        config = _config(options)
    except WrongUsageError as error:
        parser.exit(2, f"{error}\n")
    configure_log(as_json=config.json_log)
    return run_server(config)
