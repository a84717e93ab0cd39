"""The tapset library: folders of .stp and .stpm files -> an index of names -> parsed files, each when it is needed.

A light scan finds what each file defines; it is kept on disk, as are the parsed trees. A file that is broken says so
when it is used, and not before.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pystap import kept, paths
from pystap.diagnostics import Diagnostics
from pystap.source import SourceFile
from pystap.syntax.preprocess import Macro, PreprocessContext, preprocess

if TYPE_CHECKING:
    from pystap.options import Options
    from pystap.syntax import ast
    from pystap.target import Target

_FORMAT = 3  # raise it when the index changes
_OPTION = re.compile(r"CONFIG_\w+")
_ARGUMENT = re.compile(r"[$@](#|\d+)")


@dataclass(frozen=True, slots=True)
class FileIndex:
    """What one library file defines, in any branch of its conditions. Aliases are dotted, without arguments."""

    path: Path
    functions: tuple[str, ...] = ()
    globals: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    macros: tuple[str, ...] = ()


def open_library(options: Options, target: Target, diagnostics: Diagnostics) -> Library:
    """The library as an invocation sees it: -I folders before pystap's own."""
    context = PreprocessContext(
        kernel_release=target.release,
        arch=target.arch.name,
        kconfig=target.kconfig,
        guru=options.guru,
        privilege=options.privilege,
        compatible=options.compatible or "5.6",
        arguments=options.arguments,
    )
    folders = (*options.tapset_dirs, paths.tapsets())
    return Library(folders, context, diagnostics, use_cache=options.use_cache)


class Library:
    """The library's files for one kernel. Of files of one name the first counts: earlier folders win, and in a folder
    what is more special (linux/6.1.0/x86_64) wins over what is more general.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        context: PreprocessContext,
        diagnostics: Diagnostics | None = None,
        *,
        use_cache: bool = True,
    ) -> None:
        self.context = context
        self._own = replace(context, guru=True)
        self._diagnostics = Diagnostics() if diagnostics is None else diagnostics
        self._use_cache = use_cache
        self.arguments_used: set[int] = set()  # by the files that were read
        self._files: dict[Path, ast.File] = {}
        self._sources: dict[str, SourceFile] = {}
        self._macros: dict[str, Macro] = {}
        self._indexes = _scan(_search(folders, context), use_cache)
        self._functions = _by_name(self._indexes, "functions")
        self._globals = _by_name(self._indexes, "globals")
        self._aliases = _by_name(self._indexes, "aliases")
        self._macro_files = _by_name(self._indexes, "macros")

    # --- names --------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self._indexes)

    def indexes(self) -> tuple[FileIndex, ...]:
        """What each file defines, in the order of the search."""
        return self._indexes

    def functions(self, name: str) -> tuple[Path, ...]:
        """The files that define functions of a name."""
        return tuple(self._functions.get(name, ()))

    def globals(self, name: str) -> tuple[Path, ...]:
        """The files that define a global."""
        return tuple(self._globals.get(name, ()))

    def aliases(self, family: str) -> tuple[Path, ...]:
        """The files that define aliases with this first component."""
        return tuple(self._families.get(family, ()))

    def alias_families(self, glob: str = "*") -> tuple[str, ...]:
        """The first components of aliases that match a pattern, in order."""
        return tuple(family for family in sorted(self._families) if fnmatchcase(family, glob))

    def alias_names(self) -> tuple[str, ...]:
        """All aliases, dotted, in order."""
        return tuple(sorted(self._aliases))

    def function_names(self) -> tuple[str, ...]:
        """All functions, in order."""
        return tuple(sorted(self._functions))

    def global_names(self) -> tuple[str, ...]:
        """All globals, in order."""
        return tuple(sorted(self._globals))

    @cached_property
    def _families(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for name, files in self._aliases.items():
            known = found[name.partition(".")[0]]
            known.extend(path for path in files if path not in known)
        return found

    # --- contents -----------------------------------------------------------------------------------------

    def macro(self, name: str) -> Macro | None:
        """A macro of a .stpm file."""
        if name not in self._macros and name in self._macro_files:
            path = self._macro_files[name][0]
            read = preprocess(self._source(str(path)), self._own, lambda other: None, self._diagnostics)
            for key, macro in read.macros.items():
                self._macros.setdefault(key, macro)
        return self._macros.get(name)

    def file(self, path: Path) -> ast.File:
        """A file, parsed; what is wrong with it is reported at the first call."""
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = self._load(path)
        return file

    def _load(self, path: Path) -> ast.File:
        source = self._source(str(path))
        self.arguments_used |= {int(word) for word in _ARGUMENT.findall(source.text) if word != "#"}
        place = self._place(source)
        known = kept.read(place) if place is not None else None
        if known is not None:
            from pystap.syntax import trees

            return trees.decode(known, source, self._source)
        from pystap.syntax.parser import parse

        mine = Diagnostics()
        file = parse(source, self._own, self.macro, mine)
        for diagnostic in mine.items:
            self._diagnostics.add(diagnostic)
        if place is not None and not mine.items:
            from pystap.syntax import trees

            with suppress(ValueError):  # nested deeper than marshal likes: parsed again each time
                kept.write(place, trees.encode(file))
        return file

    def _source(self, name: str) -> SourceFile:
        source = self._sources.get(name)
        if source is None:
            text = Path(name).read_bytes().decode("utf-8", "surrogateescape")
            source = self._sources[name] = SourceFile(name, text, is_user=False)
        return source

    def _place(self, source: SourceFile) -> Path | None:
        """Where the cache keeps (or will keep) a file's tree: named by all that decides it."""
        if not self._use_cache:
            return None
        digest = hashlib.sha256(self._identity)
        options = sorted(set(_OPTION.findall(source.text)))
        values = [self.context.kconfig.get(option, "") for option in options]
        given = self.context.arguments if _ARGUMENT.search(source.text) else ()
        digest.update(f"{source.name}\0{values}\0{given}\0{source.text}".encode("utf-8", "surrogateescape"))
        return paths.cache("trees") / digest.hexdigest()[:40]

    @cached_property
    def _identity(self) -> bytes:
        """What all trees depend on: the kernel, the macros, and pystap's own parser."""
        from pystap.syntax import trees

        own = self._own
        about = (own.kernel_release, own.arch, own.privilege, own.compatible, own.runtime)
        macros = [(str(i.path), *_stamp(i.path)) for i in self._indexes if i.macros]
        code = [_stamp(path) for folder in ("syntax", "grammar") for path in sorted((paths.PACKAGE / folder).iterdir())]
        return repr((_FORMAT, about, macros, code, trees.IDENTITY)).encode()


# --- finding files --------------------------------------------------------------------------------------


def _search(folders: Iterable[Path], context: PreprocessContext) -> list[Path]:
    """The files that count, in order: of one name below `linux/` (and of one outside of it) the most special."""
    found: dict[tuple[bool, str], Path] = {}
    for folder in folders:
        for inner in _inner_folders(context):
            try:
                names = sorted(os.listdir(folder / inner))
            except OSError:
                continue
            for name in names:
                if name.endswith((".stp", ".stpm")) and not name.startswith("."):
                    found.setdefault((inner.startswith("linux"), name), folder / inner / name)
    return sorted(found.values(), key=lambda path: path.suffix != ".stpm")


def _inner_folders(context: PreprocessContext) -> list[str]:
    """Within a tapset folder, the most special first: linux/6.1.0-1-amd64/x86_64, linux/6.1.0-1-amd64, linux/6.1.0"""
    version = context.kernel_release.partition("-")[0]
    versions = [context.kernel_release]
    while version:
        versions.append(version)
        version = version.rpartition(".")[0]
    levels = [*dict.fromkeys(versions), ""]
    found = []
    for top in ("linux/", ""):
        for level in levels:
            base = f"{top}{level}".rstrip("/")
            found += [f"{base}/{context.arch}".lstrip("/"), base]
    return found


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


# --- the index ------------------------------------------------------------------------------------------

_Row = tuple[int, int, tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _scan(files: list[Path], use_cache: bool) -> tuple[FileIndex, ...]:
    """What the files define, from the cache as far as they have not changed since."""
    store = None
    known: dict[str, _Row] = {}
    if use_cache:
        folders = sorted({str(path.parent) for path in files})
        digest = hashlib.sha256(repr((_FORMAT, folders)).encode()).hexdigest()[:24]
        store = paths.cache("library") / digest
        found = kept.read(store)
        known = marshal.loads(found) if found is not None else {}
    rows: dict[str, _Row] = {}
    for path in files:
        stamp = _stamp(path)
        row = known.get(str(path))
        rows[str(path)] = row if row is not None and row[:2] == stamp else (*stamp, *_defined(path))
    if store is not None and rows != known:
        kept.write(store, marshal.dumps(rows))
    return tuple(FileIndex(path, *rows[str(path)][2:]) for path in files)


_Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _defined(path: Path) -> _Names:
    """A file's functions, globals, aliases and library macros."""
    from pystap.syntax.lexer import tokenize

    source = SourceFile(str(path), path.read_bytes().decode("utf-8", "surrogateescape"), is_user=False)
    scan = _Scan([(token.kind, token.text) for token in tokenize(source)])
    functions, names, aliases, macros = scan.run()
    return functions, names, aliases, macros if path.suffix == ".stpm" else ()


class _Scan:
    """Looks over the tokens of a file for what stands outside of braces."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.functions: dict[str, None] = {}
        self.globals: dict[str, None] = {}
        self.aliases: dict[str, None] = {}
        self.macros: dict[str, None] = {}

    def run(self) -> _Names:
        depth = 0
        for at, (kind, text) in enumerate(self.tokens):
            if kind == "op":
                depth += (text == "{") - (text == "}")
            elif depth == 0 and kind in ("keyword", "at"):
                self._item(text, at + 1)
        return tuple(self.functions), tuple(self.globals), tuple(self.aliases), tuple(self.macros)

    def _item(self, word: str, at: int) -> None:
        before = self.tokens[at - 2][1] if at > 1 else ""
        match word:
            case "function" if before != ".":
                self._named(self.functions, at)
            case "global" if before != ".":
                self._variables(at)
            case "private" if self._is("ident", at):
                self._variables(at)
            case "probe" if before != ".":
                self._probe(at)
            case "@define":
                self._named(self.macros, at)
            case _:
                pass

    def _is(self, kind: str, at: int) -> bool:
        return at < len(self.tokens) and self.tokens[at][0] == kind

    def _named(self, into: dict[str, None], at: int) -> None:
        if self._is("ident", at):
            into[self.tokens[at][1]] = None

    def _variables(self, at: int) -> None:
        """`a, b = 3, c[10], d%`"""
        while self._is("ident", at):
            self._named(self.globals, at)
            at += 1
            while self._is_literal(at) or (self._is("op", at) and self.tokens[at][1] in "%[]=-"):
                at += 1
            if at >= len(self.tokens) or self.tokens[at][1] != ",":
                return
            at += 1

    def _is_literal(self, at: int) -> bool:
        return self._is("number", at) or self._is("string", at)

    def _probe(self, at: int) -> None:
        """`a.b = c("x").d = ...`: all that has a = behind it is an alias."""
        name, depth = "", 0
        while at < len(self.tokens):
            kind, text = self.tokens[at]
            at += 1
            if text in ("=", "+=") and kind == "op" and not depth:
                self.aliases[name] = None
                name = ""
            elif text in ("{", "}", ",", "?", "!", "if") and not depth and not name.endswith("."):
                return
            elif text in ("(", ")"):
                depth += 1 if text == "(" else -1
            elif not depth:
                name += text


def _by_name(indexes: Iterable[FileIndex], what: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for index in indexes:
        for name in getattr(index, what):
            found[name].append(index.path)
    return dict(found)
