"""A group whose commands are imported when somebody asks for them.

All commands together need a second or two to import; one alone mostly a third of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
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


class _Commands(MutableMapping[str, Any]):
    """Name -> command. Its names are known; a command is imported when it is looked up."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command(name, self._modules[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __setitem__(self, name: str, command: Any) -> None:
        self._modules[name], self._made[name] = "", command

    def __delitem__(self, name: str) -> None:
        del self._modules[name]
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def _command(name: str, module: str) -> Any:
    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    import_module(module).register(app)
    # Of an application with one command Typer makes that command; as a group it has it under its name.
    return typer.main.get_group(app).commands[name]
