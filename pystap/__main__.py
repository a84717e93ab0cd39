"""python -m pystap, and the command pystap: ^C before there is anything to undo ends it without words."""

from __future__ import annotations

import signal
import sys


def run() -> int:
    """Runs pystap; returns the exit status."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pystap.cli import main

    signal.signal(signal.SIGINT, before)
    return main()


if __name__ == "__main__":
    sys.exit(run())
