"""Text -> tokens that know where they stand.

Comments and white space vanish here; nothing is refused: text that is no token becomes a `junk` token, whose
message is shown only where the token is really used (an unused branch of a %( %) may hold anything).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pystap.source import KEYWORDS, SourceFile, Span, describe

_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\r\n\f\v]+ | \#(?!\n).*|\#\n | //.* | /\*(?s:.*?)(?:\*/|\Z))
    | (?P<ident>(?:[A-Za-z_]|\$(?![0-9\#]))[A-Za-z0-9_$]*)
    | (?P<at>@[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<argument>[$@](?:[0-9]+|\#))
    | (?P<number>[0-9][0-9A-Za-z_]*)
    | (?P<string>"(?s:[^"\\\n]|\\.)*")
    | (?P<embedded>%\{(?s:.*?)%\})
    | (?P<junk>%\{(?s:.*)|"[^\n]*)
    | (?P<preproc>%\(|%\)|%\?|%:)
    | (?P<op><<<|>>>|<<=|>>=|==|!=|<=|>=|=~|!~|[-+*/%&^|.]=|&&|\|\||\+\+|--|->|<<|>>|[][{}();,:?!+\-*/%<>=&|^~.])
    | (?P<other>(?s:.))
    """,
    re.VERBOSE,
)

_SIMPLE_ESCAPES = {
    "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "\n": "\\\n",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]+)|(?s:(.)))")


class Token(NamedTuple):
    """A word of the script. `kind`: ident keyword at argument number string embedded preproc op junk.

    `value` is a string's decoded text or an embedded code's C; otherwise it equals `text`.
    """

    kind: str
    text: str
    value: str
    file: SourceFile
    start: int
    end: int
    via: Span | None = None

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.file, self.start, self.end, self.via)

    def described(self) -> str:
        """What messages call it: `identifier 'x'`, `operator '+'`, `keyword`."""
        match self.kind:
            case "junk":
                return "junk ''" if self.text[0] in '$@"%' else f"operator '{self.text[0]}'"
            case "string":
                return f"string '{self.value}'"
            case _:
                return describe(self.text)


def tokenize(source: SourceFile) -> list[Token]:
    """All tokens of a file, in order."""
    tokens: list[Token] = []
    append = tokens.append
    for found in _TOKEN.finditer(source.text):
        kind = str(found.lastgroup)
        if kind == "blank":
            continue
        text = found[0]
        value = text
        if kind == "ident":
            if text in KEYWORDS:
                kind = "keyword"
        elif kind == "string":
            value = decode(text[1:-1])
        elif kind == "embedded":
            value = text[2:-2]
        elif kind == "other":
            kind = "junk"
        append(Token(kind, text, value, source, found.start(), found.end()))
    return tokens


def decode(text: str) -> str:
    """A string literal's text with its escapes replaced; unknown escapes lose their backslash."""
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(found: re.Match[str]) -> str:
    octal, hexadecimal, other = found.groups()
    if octal:
        return _byte(int(octal, 8) & 0xFF)
    if hexadecimal:
        return _byte(int(hexadecimal, 16) & 0xFF)
    return _SIMPLE_ESCAPES.get(other, other)


def _byte(code: int) -> str:
    """A byte as the decoding of source files leaves it: alone, one above 127 is no UTF-8."""
    return chr(code) if code < 0x80 else chr(0xDC00 + code)


def junk_reason(token: Token) -> str:
    """Why a junk token is none."""
    if token.text.startswith('"'):
        return "Could not find matching closing quote"
    if token.text.startswith("%{"):
        return "Could not find matching '%}' to close embedded function block"
    return f"unexpected character {token.text!r}"
