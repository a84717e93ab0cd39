"""The pages that messages point to with [man error::pass2]: for --explain, and as man pages."""

from __future__ import annotations

import difflib

from pystap import paths
from pystap.diagnostics import StapError

_FOLDER = paths.PACKAGE / "pages"
_SUFFIX = ".txt"


def names() -> list[str]:
    """The names of all pages."""
    return sorted(page.name.removesuffix(_SUFFIX) for page in _FOLDER.glob("*" + _SUFFIX))


def page(name: str) -> str:
    """A page's text, by its name or the part after "::"; raises StapError where there is none."""
    wanted = name.strip("[] ").removeprefix("man ")
    for known in names():
        if wanted in (known, known.rpartition("::")[2]):
            return (_FOLDER / (known + _SUFFIX)).read_text("utf-8")
    close = difflib.get_close_matches(wanted, names(), 1, 0.3)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise StapError(f"there is no page '{name}'.{meant} The pages are: {', '.join(names())}")
