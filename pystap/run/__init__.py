"""PASS 5: a built module -> its output and exit status, on this kernel or in a disposable guest."""

from __future__ import annotations

from pathlib import Path

from pystap.run.options import RunOptions

__all__ = ["RunOptions", "run"]


def run(module: Path, options: RunOptions) -> int:
    """Runs the module to its end and returns stap's exit status."""
    if options.vm is None:
        from pystap.run import local

        return local.run(module, options)
    from pystap.run import guest

    return guest.run(module, options)
