"""Names that lie near to one that is not there, for the hints of messages."""

from __future__ import annotations

from collections.abc import Iterable

FAR = 8  # letters that two lengths may differ in, for the names still to be slips of each other


def nearest(name: str, candidates: Iterable[str], limit: int = 5) -> tuple[str, ...]:
    """The names that `name` may be a slip of, best first."""
    close = (c for c in candidates if c and c != name and abs(len(c) - len(name)) <= FAR)
    bound = max(2, (len(name) * 2) // 3)
    return tuple(c for c in ranked(name, close, limit) if _distance(name, c) <= bound)


def ranked(name: str, candidates: Iterable[str], limit: int = 5) -> list[str]:
    """The candidates that lie nearest to a name, however far that is, nearest first."""
    return sorted(set(candidates), key=lambda other: (_distance(name, other), other))[:limit]


def _distance(a: str, b: str) -> int:
    """How many letters must be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]
