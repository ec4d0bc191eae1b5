"""Parts of a path that are any text: ids and names that senders chose, with their slashes and line breaks."""

from __future__ import annotations

from typing import Final

from starlette.convertors import Convertor, register_url_convertor

ANY_TEXT: Final = "text"
"""What a route writes behind the name of such a part: `f"/{{message_id:{ANY_TEXT}}}"`; it takes all that follows."""


class _TextConvertor(Convertor[str]):
    """What Starlette's `path` is, which ends at a line break."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


# On import, for paths are compiled where routes are declared.
register_url_convertor(ANY_TEXT, _TextConvertor())
