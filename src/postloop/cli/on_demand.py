"""A group whose commands are imported when somebody asks for them.

All commands together need a second or two to import; one alone mostly a third of that.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class OnDemandGroup(TyperGroup):
    """Knows the names of its commands and where each is made.

    Attributes:
        modules: Command -> module with a function `register(app)` that adds the command to a Typer application. In the
            order in which help lists them.
    """

    modules: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands(self.modules)


class _Commands(UserDict[str, Any]):
    """Name -> command; until somebody looks it up, the module that makes it."""

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if isinstance(found, str):
            found = self.data[name] = _command(name, found)
        return found


def _command(name: str, module: str) -> Any:
    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    import_module(module).register(app)
    # Of an application with one command Typer makes that command; as a group it has it under its name.
    return typer.main.get_group(app).commands[name]
