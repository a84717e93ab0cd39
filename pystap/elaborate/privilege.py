"""What --privilege=stapusr forbids: kernel memory, kernel addresses, and embedded C that is not tagged as harmless.

It applies to the tapset's functions as to the script's own, since both run with what the script passes to them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pystap.debuginfo.ctype import Pointer, strip
from pystap.diagnostics import Diagnostics
from pystap.elaborate.formats import Conversion, FormatError, parse_format
from pystap.elaborate.program import Body, Function
from pystap.elaborate.tokens import token
from pystap.ir import nodes as ir
from pystap.ir.effects import nodes_of
from pystap.options import Options
from pystap.syntax import ast
from pystap.syntax.walk import walk

HARMLESS = frozenset({"unprivileged", "myproc-unprivileged"})
_USER_LEVEL = "stapusr"


def allows(options: Options, owner: object, pattern: str) -> bool:
    """Whether a family's pattern is for this level: families list in `unprivileged` what is for everybody."""
    return options.privilege != _USER_LEVEL or pattern in getattr(owner, "unprivileged", ())


def check(
    bodies: list[Body], functions: dict[tuple[str, int], list[Function]], options: Options, diagnostics: Diagnostics
) -> None:
    """Reports what the level of the one who will run the script does not allow."""
    if options.privilege != _USER_LEVEL:
        return
    for body in bodies:
        for node in (*walk(body.block), *(n for e in body.entry for n in walk(e))):
            for text in _refusals(node, functions):
                diagnostics.error(node.span, "privilege", text, token=token(node))


def _refusals(node: ast.Node, functions: dict[tuple[str, int], list[Function]]) -> Iterator[str]:
    level = f"when --privilege={_USER_LEVEL} is specified"
    match node:
        case ast.Call(name=name, arguments=arguments):
            called = functions.get((name, len(arguments)), ())
            if any(isinstance(f.body, ast.EmbeddedExpr) and not f.tags & HARMLESS for f in called):
                yield f"function may not be used {level}"
        case ast.EmbeddedExpr(code=code):
            if not any(f"/* {tag} */" in code for tag in HARMLESS):
                yield f"embedded expression may not be used {level}"
        case ast.Print(format=str(text)):
            if _prints_memory(text):
                yield f"%m and %M, which print memory, may not be used {level}"
        case _:
            if _reads_kernel(node):
                yield f"kernel memory may not be read {level}"


def _reads_kernel(node: ast.Node) -> bool:
    match node:
        case ast.Deref(user=user) | ast.Register(user=user):
            return not user
        case ast.TargetAccess(value=value):
            return _of_kernel(value)
        case ast.Pretty(fields=fields):
            return any(map(_shows_kernel, fields))
        case _:
            return False


def _shows_kernel(field: ast.PrettyField) -> bool:
    """Whether a field is read in kernel memory, or is a pointer into it, of which the text is shown."""
    access = field.access
    if not field.user and (field.address or (access and access.ctype and isinstance(strip(access.ctype), Pointer))):
        return True
    return access is not None and _of_kernel(access.value)


def _of_kernel(value: ir.Expr) -> bool:
    """Whether an access reads kernel memory, or tells where something of the kernel lies."""
    for node in nodes_of(value):
        match node:
            case ir.Load(space=ir.Space.KERNEL):
                return True
            case ir.SymbolAddress(module=module) if not (module or "").startswith("/"):
                return True
            case _:
                pass
    return False


def _prints_memory(text: str) -> bool:
    try:
        return any(isinstance(p, Conversion) and p.letter in "mM" for p in parse_format(text))
    except FormatError:
        return False
