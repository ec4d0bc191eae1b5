"""Runs a command that ends when the process that started it ends, also by kill -9.

Started as a file (`python -I -S lifeline.py PARENT_PID COMMAND ...`), so it imports nothing of ours and costs
some 15 ms. On Linux it asks the kernel for a signal at the parent's death and then becomes the command.
Elsewhere it stays as a guard: its standard input is a pipe whose other end only the parent holds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1
_WRONG_USAGE = 2


def main(arguments: list[str]) -> int:
    """Become, or guard, the command in `arguments[1:]`; `arguments[0]` is the pid of the parent."""
    if len(arguments) < 2:
        sys.stderr.write("usage: lifeline.py PARENT_PID COMMAND [ARGUMENT ...]\n")
        return _WRONG_USAGE
    parent, command = int(arguments[0]), arguments[1:]
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            return 1
        os.execv(command[0], command)  # noqa: S606  # no shell is the point
    return guard(command)


def guard(command: list[str]) -> int:
    """Run the command, pass signals on, and kill it when standard input ends."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    threading.Thread(target=_kill_at_end_of_input, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code  # as a shell tells a signal


def _kill_at_end_of_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
