"""python -m pystap, and the command pystap: ^C before there is anything to undo ends it without words."""

from __future__ import annotations

import os
import signal
import sys

_STANDARD = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)


def run() -> int:
    """Runs pystap; returns the exit status."""
    _hold_standard_files()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pystap.cli import main

    signal.signal(signal.SIGINT, before)
    return main()


def _hold_standard_files() -> None:
    """What is opened next must not become a standard file that was closed; writing to such output is an error."""
    for number, mode in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
            os.set_inheritable(number, True)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for the whole process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(run())
