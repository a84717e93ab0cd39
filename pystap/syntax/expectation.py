"""What the parser could have read -> what the message says was expected, in SystemTap's words.

SystemTap's parser asks for one thing at a time, so its messages name less than the grammar would allow.
"""

from __future__ import annotations

from collections.abc import Sequence

from pystap.syntax.words import Word

_VALUE = frozenset(("NUMBER", "TARGET", "("))
_CONSTANT = "literal string or number"
_OPENING = {")": "(", "]": "[", "}": "{"}
_LONELY = frozenset(("if", "foreach", "try", "probe", "in", "=~", "!~", "->", "="))  # whose end of file is their own

# Small sets of terminals, and what is said of them.
_SETS = {
    frozenset(("NUMBER", "STRING", "-")): f"expected {_CONSTANT}",
    frozenset(("NUMBER", "-")): "expected number",
    frozenset(("TYPE",)): "expected 'string' or 'long'",
    frozenset(("(", ":")): "expected '('",
    frozenset((")", "IDENT")): "expected identifier",
    frozenset(("[", "IDENT")): "expected identifier",
    frozenset((")", ",", ":")): "expected ',' or ')'",
    frozenset(("+", "-", "=", "in")): "expected 'in'",
    frozenset(("+", "-", "in")): "expected 'in'",
    frozenset(("=", "in")): "expected 'in'",
    frozenset(("+", "-", ",", "]")): "expected ',' or ']'",
    frozenset((",", "]")): "expected ',' or ']'",
    frozenset((")", "limit")): "expected ')'",
    frozenset((")", "[")): "expected ')'",
    frozenset(("@hist_linear", "@hist_log", "IDENT")): "expected identifier or statistical operation",
    frozenset(("IDENT",)): "expected identifier",
    frozenset(("MEMBER",)): "expected identifier or keyword",
    frozenset(("function", "global", "IDENT")): "expected 'function' or identifier",
    frozenset(("in",)): "unexpected comma-separated expression list",
    frozenset(("[",)): "base histogram operator where expression expected",
}


def expected(names: set[str], read: Sequence[Word]) -> str:
    """The message for a token that is none of `names`; `read` are the words before it."""
    if "probe" in names and "function" in names:
        return "expected 'probe', 'global', 'private', 'function', or '%{'"
    if "foreach" in names or names >= _VALUE:
        return f"expected {_CONSTANT}"
    if "COMPONENT" in names:
        return "expected identifier or '*' or '{'"
    if {",", "{"} <= names:
        return "expected one of ', { } = +='"
    before = read[-1][1].text if read else ""
    if names == {"NUMBER"}:
        return "expected number" if before == "[" else f"expected {_CONSTANT}"
    if names == {"STRING"}:
        return "expected literal string" if before in ("=~", "!~") else "expected string"
    return _SETS.get(frozenset(names)) or _closing(names, read)


def at_end(names: set[str], read: Sequence[Word]) -> tuple[str, bool]:
    """The message for an end of file, and whether it names the last word instead of the end."""
    last = read[-1][1].text if read else ""
    if "foreach" in names:
        return "expected statement", False
    if names >= _VALUE:
        return "expected value", False
    if {",", "{"} <= names and "(" not in names - {"."}:
        return "expected one of ', { } = +='", False
    if {",", "]"} <= names and _opener(read)[1] is None:
        return "expected ',' or ']'", False
    return "unexpected end-of-file", last in _LONELY


def _closing(names: set[str], read: Sequence[Word]) -> str:
    """Behind an expression nearly every operator could follow: the bracket that it stands in says what is missing."""
    closers = [name for name in (")", "]", ":", ";", ",") if name in names]
    if "," in closers and len(closers) > 1:
        opening, owner = _opener(read)
        match opening, owner:
            case "[", None:
                return "expected ',' or ']'"
            case "[", _:
                return "expected one of '] ,'"
            case "(", "IDENT":
                return "expected one of ') ,'"
            case _:
                return "expected one of ', )'"
    if not closers:
        only = sorted(name for name in names if name != "$END")
        return f"expected '{only[0]}'" if len(only) == 1 else "unexpected token"
    return "expected " + " or ".join(f"'{name}'" for name in closers)


def _opener(read: Sequence[Word]) -> tuple[str, str | None]:
    """The bracket that is still open, and the kind of the word before it if that owns it."""
    open_ones: list[str] = []
    for at in range(len(read) - 1, -1, -1):
        text = read[at][1].text
        if text in _OPENING:
            open_ones.append(_OPENING[text])
        elif open_ones and text == open_ones[-1]:
            open_ones.pop()
        elif text in ("(", "["):
            owner = read[at - 1][0] if at else ""
            return text, owner if owner in ("IDENT", "PRINT", "AGGREGATE") or owner.startswith("@") else None
    return "", None
