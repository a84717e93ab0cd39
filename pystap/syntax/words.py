"""Lexer tokens -> the grammar's terminals, by where they stand.

Inside a probe point every word is a COMPONENT, glued to the wildcards that touch it; after `->` it is a MEMBER.
Adjacent string literals become one.
"""

from __future__ import annotations

from pystap.syntax.lexer import Token
from pystap.syntax.preprocess import OPERATORS

PRINTS = frozenset("print println printd printdln printf print_char sprint sprintln sprintd sprintdln sprintf".split())
_AGGREGATES = frozenset("@count @sum @min @max @avg @variance".split())
_REGISTERS = frozenset(("@kregister", "@uregister"))
_DEREFS = frozenset(("@kderef", "@uderef"))
_OPENS_COMPONENT = frozenset((".", "{", ",", "=", "+=", "probe"))
_NAMING = frozenset(("function", "global", "private"))

Word = tuple[str, Token]  # a terminal of the grammar (a literal is its own name) and what it stands for


def words(tokens: list[Token]) -> list[Word]:
    """The terminals of a file."""
    return _Words().run(tokens)


class _Words:
    def __init__(self) -> None:
        self.out: list[Word] = []
        self.in_point = False  # between `probe` and its handler
        self.brackets = 0  # ( within a probe point
        self.braces = 0  # { of brace sets

    def run(self, tokens: list[Token]) -> list[Word]:
        out = self.out
        for token in tokens:
            kind = token.kind
            before = out[-1][0] if out else ""
            if self.in_point and not self.brackets and self._component(token, before):
                continue
            if before == "->" and kind in ("ident", "keyword"):
                out.append(("MEMBER", token))
            elif kind == "op":
                if self.in_point:
                    self._nesting(token.text, before)
                out.append((token.text, token))
            elif kind == "string" and before == "STRING":
                out[-1] = ("STRING", _joined(out[-1][1], token))
            else:
                out.append((self._name(token, before), token))
        return out

    def _name(self, token: Token, before: str) -> str:
        match token.kind:
            case "ident":
                return _identifier(token.text, before)
            case "keyword":
                return self._keyword(token.text)
            case "number" | "string" | "embedded" as kind:
                return kind.upper()
            case "at":
                return _operator(token.text)
            case _:
                return "?junk"

    def _keyword(self, text: str) -> str:
        if text == "probe":
            self.in_point, self.brackets, self.braces = True, 0, 0
        return "TYPE" if text in ("string", "long") else text

    def _component(self, token: Token, before: str) -> bool:
        """Takes the token as (a piece of) a probe point's component, if it is that."""
        if token.kind == "keyword":
            if token.text == "if" and before not in _OPENS_COMPONENT:
                return False
        elif token.kind != "ident" and token.text != "*":
            return False
        if before == "COMPONENT":
            last = self.out[-1][1]
            if last.end == token.start and last.file is token.file and last.via == token.via:
                text = last.text + token.text
                self.out[-1] = ("COMPONENT", last._replace(text=text, value=text, end=token.end))
                return True
        self.out.append(("COMPONENT", token))
        return True

    def _nesting(self, text: str, before: str) -> None:
        match text:
            case "(":
                self.brackets += 1
            case ")":
                self.brackets -= 1
            case "{" if not self.brackets and before in _OPENS_COMPONENT:
                self.braces += 1
            case "{" if not self.brackets:
                self.in_point = False
            case "}" if not self.brackets:
                self.braces -= 1
            case _:
                pass


def _identifier(text: str, before: str) -> str:
    if text[0] == "$":
        return "DOLLARS" if text in ("$", "$$") and before in ("]", ")") else "TARGET"
    return "PRINT" if text in PRINTS and before not in _NAMING else "IDENT"


def _operator(text: str) -> str:
    if text in _AGGREGATES:
        return "AGGREGATE"
    if text in _REGISTERS:
        return "REGISTER"
    if text in _DEREFS:
        return "DEREF"
    return text if text in OPERATORS else "?operator"


def _joined(first: Token, second: Token) -> Token:
    return first._replace(value=first.value + second.value, end=second.end if second.file is first.file else first.end)
