"""The -D tunables: what each is for, its default and its bounds. What is not here reaches the module's C as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pystap.diagnostics import StapError

_INT = (1 << 31) - 1
_LONG = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Tunable:
    """A number between `low` and `high`; a switch, where there are none."""

    name: str
    default: str
    meaning: str
    low: int | None = None
    high: int = _INT


TUNABLES = (
    Tunable("MAXSTRINGLEN", "512", "bytes of a string, the zero at its end included", 8, 65536),
    Tunable("MAXACTION", "1000", "statements of one hit", 0),
    Tunable("MAXACTION_INTERRUPTIBLE", "10 x MAXACTION", "the same in begin, end, error and procfs probes", 0),
    Tunable("INTERRUPTIBLE", "1", "0: no interrupt, whose own hits would be lost, comes during a hit", 0, 1),
    Tunable("MAXNESTING", "as deep as calls go; recursion adds 10", "calls inside of calls", 0, 1 << 24),
    Tunable("MAXERRORS", "0", "errors that do not end the session", 0),
    Tunable("MAXSKIPPED", "100", "hits that may be skipped before the session ends", 0),
    Tunable("MAXTRYLOCK", "100", "attempts to lock a global variable", 0),
    Tunable("TRYLOCKDELAY", "10", "microseconds between two attempts", 0, 1000),
    Tunable("MINSTACKSPACE", "1024", "bytes of kernel stack that a hit has to find free", 0),
    Tunable("MAXMAPENTRIES", "2048", "elements of an array that does not say how many", 1, 1 << 28),
    Tunable("MAPHASHBIAS", "0", "doubles (or halves) the hash buckets of arrays, so many times", -31, 8),
    Tunable("MAXBACKTRACE", "20", "frames of a backtrace", 1, 1024),
    Tunable("KRETACTIVE", "6 for each CPU, at least 15", "calls under way of a function with a return probe", 1, 4096),
    Tunable("STP_MAXMEMORY", "no limit", "kilobytes that the module may allocate", 0),
    Tunable("STP_OVERLOAD_INTERVAL", "1000000000", "cycles between looks at the time in handlers", 1, _LONG),
    Tunable("STP_OVERLOAD_THRESHOLD", "500000000", "cycles that handlers may take in such an interval", 0, _LONG),
    Tunable("STP_NO_OVERLOAD", "", "handlers may take what time they want"),
    Tunable("STP_ON_THE_FLY_INTERVAL", "100000000", "nanoseconds between two looks at if (...) of probes", 1, _LONG),
    Tunable("STP_BUFFER_SIZE", "8192", "bytes of output that a CPU collects before it sends them", 64, 1 << 20),
    Tunable("STP_PROCFS_BUFSIZE", "MAXSTRINGLEN", "bytes of a procfs probe's text", 8, 1 << 24),
    Tunable("HIST_WIDTH", "50", "columns of a histogram's longest bar", 1, 1000),
    Tunable("HIST_ELISION", "2", "empty rows left on both sides of a histogram's gap", 0, 1000),
    Tunable("STP_TIMING", "", "what -t says: hits and cycles of each probe"),
    Tunable("STP_ALIBI", "", "handlers do nothing; how often each probe was hit is said at the end"),
    Tunable("STP_TRACE_RUNNER", "", "what pystap-run does is probed, too"),
    Tunable("STAP_SUPPRESS_HANDLER_ERRORS", "", "what --suppress-handler-errors says"),
    Tunable("STAP_SUPPRESS_TIME_LIMITS_ENABLE", "", "what --suppress-time-limits says"),
)  # fmt: skip
_BY_NAME = {t.name: t for t in TUNABLES}


def checked(defines: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The options' -D as C takes them: NAME alone is NAME=1. A tunable that cannot be so is refused."""
    return tuple((name, _checked(_BY_NAME.get(name), name, value)) for name, value in defines)


def _checked(tunable: Tunable | None, name: str, value: str) -> str:
    if tunable is None or tunable.low is None:
        return value or "1"
    try:
        number = _number(value or "1")
    except ValueError:
        number = None
    if number is None or not tunable.low <= number <= tunable.high:
        raise StapError(
            f"-D {name}={value}: expected a number from {tunable.low} to {tunable.high}:"
            f" {tunable.meaning} (default: {tunable.default})"
        )
    return str(number)


def _number(text: str) -> int:
    """As C reads it: 010 is 8, and 500000000LL, as many options have it, is a number too."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    digits = re.sub(r"(?<=[0-9a-fA-F])(?:[uU]?(?:ll?|LL?)|(?:ll?|LL?)?[uU])$", "", digits)
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    return sign * int(digits, 8 if octal else 0)
