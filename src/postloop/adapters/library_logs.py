"""What libraries may say."""

from __future__ import annotations

import logging
from typing import Final

# Client libraries, and from which level on they are heard unless somebody debugs. clickhouse-connect and its HTTP
# client warn of every request that failed, some with a traceback, beside the error that we tell in one sentence.
CHATTY: Final = {
    **dict.fromkeys(("kafka", "aiokafka", "asyncio", "aiohttp.access"), logging.WARNING),
    **dict.fromkeys(("clickhouse_connect", "urllib3"), logging.ERROR),
}


def silence_libraries() -> None:
    """Keep libraries from writing to a person's terminal: a command says itself what went wrong, once."""
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    # kafka-python's loggers would otherwise reach Python's handler of last resort.
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.captureWarnings(True)
