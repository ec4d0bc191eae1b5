"""For programs that send mail: ask the blocklist before each message, in the same process."""

from postloop.client.answers import Stats
from postloop.client.blocklist import AsyncBlocklist, Blocklist
from postloop.client.errors import NotReady, Stale
from postloop.client.view import BlockedBy

__all__ = ["AsyncBlocklist", "BlockedBy", "Blocklist", "NotReady", "Stale", "Stats"]
