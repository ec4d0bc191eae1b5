"""The process from which parts of a stack are forked: it has imported what they import.

Importing takes a part one and a half seconds of processor, and there are five. Here it is done once, while ClickHouse
gets ready; a part that ended is back without it.

Started as `python -m postloop.embedded.nursery MODULE[:FUNCTION] ...`: the modules are imported and the functions
called in this order. Then each line of standard input asks for a process: {"id", "module", "arguments", "environment",
"log"} becomes `python -m module arguments` in exactly this environment, with its output at the end of the log. Told on
standard output, a line each: {"id", "pid"}, or {"id", "error"} where there was no process to be had, and, when one has
ended, {"pid", "code"}, where the code of a signal is negative.

At the end of standard input this process ends, and on Linux, the only system it is for, the kernel ends its children
with it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any, Final, NoReturn

from setproctitle import setproctitle, setthreadtitle

_PR_SET_PDEATHSIG: Final = 1
_READ_BYTES: Final = 65_536
# They are for the supervisor, or for all processes of a machine that goes down: with the nursery its children would end
# at once, in the middle of what they are told to end in order.
_NOT_FOR_US: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str]) -> int:
    """Import what the arguments name, then fork until standard input ends; a fork does not return."""
    inherited = {number: signal.signal(number, signal.SIG_IGN) for number in _NOT_FOR_US}
    answers = os.dup(1)
    os.dup2(2, 1)  # what an import prints is no answer
    # The first call finds where the name of a process stands, which it cannot once the environment was changed.
    _rename("postloop.embedded.nursery")
    gc.disable()
    for name in arguments:
        found = resolve_name(name)
        if ":" in name:
            found()
    sys.stdout.flush()  # else each child would write it too
    gc.freeze()  # else each child would write to, and so copy, what the collector looks at
    return _Nursery(answers, inherited).serve()


class _Nursery:
    """Forks, and tells what became of whom."""

    def __init__(self, answers: int, inherited: Mapping[signal.Signals, Any]) -> None:
        self._answers = answers
        self._inherited = inherited
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def serve(self) -> int:
        """Answer requests until there are no more."""
        asked = b""
        while True:
            ready, _, _ = select.select([0, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, _READ_BYTES)
                self._tell_ended()
            if 0 in ready:
                piece = os.read(0, _READ_BYTES)
                if not piece:
                    return 0
                *lines, asked = (asked + piece).split(b"\n")
                for line in lines:
                    self._fork(json.loads(line))

    def _fork(self, wanted: dict[str, Any]) -> None:
        parent = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_US)
        try:
            pid = os.fork()
        except OSError as error:  # too many processes, or no memory: that one alone is not to be had
            self._say({"id": wanted["id"], "error": str(error)})
            return
        finally:
            # A child unblocks them once it no longer ignores them.
            if os.getpid() == parent:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pid == 0:
            for descriptor in (self._woken, self._waker, self._answers):
                os.close(descriptor)
            for number, handler in self._inherited.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _become(wanted, parent)
        self._say({"id": wanted["id"], "pid": pid})

    def _tell_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._say({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _say(self, document: dict[str, int | str]) -> None:
        os.write(self._answers, json.dumps(document).encode() + b"\n")


def _become(wanted: dict[str, Any], parent: int) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)
    _redirect(wanted["log"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    module, arguments = wanted["module"], wanted["arguments"]
    _rename(module, *arguments)
    sys.argv = [module, *arguments]
    gc.enable()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit(0)


def _rename(*words: str) -> None:
    """Let `ps` show this process as `python -m words`."""
    setproctitle(" ".join([sys.executable, "-m", *words]))
    setthreadtitle(os.path.basename(sys.executable))  # noqa: PTH119 - the short name, which the call before cut


def _redirect(log: str) -> None:
    """Read nothing, and write to the end of the log, a line at once."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for file, descriptors in ((nothing, (0,)), (output, (1, 2))):
        for descriptor in descriptors:
            os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
