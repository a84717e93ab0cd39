"""Runs the five passes in order, says how long each took, and stops where it was told to."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pystap import paths, script_cache
from pystap.diagnostics import Diagnostics, PassError, StapError
from pystap.options import Options
from pystap.scripts import read_scripts
from pystap.source import SourceFile
from pystap.timings import Timer, memory

if TYPE_CHECKING:
    from pystap.build import BuiltModule
    from pystap.codegen import ModuleSource
    from pystap.debuginfo.btf import Btf
    from pystap.diagnostics import Printer
    from pystap.elaborate.program import Program
    from pystap.ir import nodes as ir
    from pystap.library import Library
    from pystap.syntax import ast
    from pystap.target import Target

_PASS_FAILED = ("parse", "analysis", "translation", "compilation", "run")


def run(options: Options) -> int:
    """Does what the options ask; returns the exit status."""
    for name, text in options.extra.items():
        if name in _ERRANDS:
            return _ERRANDS[name](options, text)
    if options.dump_only or options.list_points is not None:
        from pystap import listing

        return listing.run(options)
    session = _Session(options)
    try:
        return session.run()
    except PassError as failure:
        if str(failure):
            print(f"ERROR: {failure}", file=sys.stderr)
        what = _PASS_FAILED[failure.number - 1]
        print(f"Pass {failure.number}: {what} failed.  [man error::pass{failure.number}]", file=sys.stderr)
        return 1
    finally:
        print(session.left_out(), end="", file=sys.stderr)


@dataclass(slots=True)
class _Session:
    """One script on its way through the passes."""

    options: Options
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    _shown: int = 0
    _printer: Printer | None = None

    def left_out(self) -> str:
        """How many messages were not shown."""
        return self._printer.summary() if self._printer is not None else ""

    def run(self) -> int:
        options = self.options
        self.diagnostics.suppress_warnings = options.suppress_warnings
        self.diagnostics.warnings_are_errors = options.warnings_are_errors
        scripts = read_scripts(options)
        target = self._target()
        self._stop_where_it_cannot_run(target)
        options = self.options
        key = script_cache.script_key(options, scripts, target)
        module = self._cached(key) if options.last_pass >= 4 else None
        if module is None:
            module = self._compile(scripts, target, key)
        if module is None:
            return 0
        module = self._deliver(self._signed(module, target))
        return self._run_module(module, target) if options.last_pass == 5 else 0

    # --- passes 1 to 4

    def _compile(self, scripts: list[SourceFile], target: Target, key: str) -> Path | None:
        """Passes 1 to 4, or as many as were asked for; the module's path after pass 4."""
        options = self.options
        self._check_kernel(target)
        with self._pass(1) as said:
            used: set[int] = set()
            files, library = self._parse(scripts, target, used)
            if options.last_pass == 1:
                self._warn_of_unused(used, library)
            said.append(f"parsed user script and {library.count} library scripts")
        if options.last_pass == 1 or options.dump == "ast":
            self._print_trees(files)
            return None
        with self._pass(2) as said:
            program = self._elaborate(files, library, target)
            said.append(f"analyzed script: {_counts(program)}")
            self._check_engines(program, target)
            self._warn_of_unused(used, library)
        if options.last_pass == 2 or options.dump == "program":
            from pystap.elaborate.dump import dump

            _print(dump(program))
            return None
        with self._pass(3) as said:
            module = self._lower(program)
            source = self._translate(module, target)
            said.append("translated to C")
        if options.dump == "ir":
            from pystap.ir.text import dump as dump_ir

            _print(dump_ir(module))
            return None
        if options.last_pass == 3:
            _print(source.files["module.c"])
            return None
        with self._pass(4) as said:
            built = self._build(source, target)
            said.append(f'compiled C into "{built.path.name}"')
        self._remember(key, built.path)
        return built.path

    def _target(self) -> Target:
        from pystap.run import kernels
        from pystap.target import Target

        wanted = self.options.release
        if wanted is None and self.options.vm is not None:
            wanted = kernels.find(self.options.vm).release
        target = Target.of(wanted) if wanted is None or "/" in wanted else Target.of(wanted, kernels.find)
        target.header_types = lambda name: self._types_of_header(target, name)
        return target

    def _types_of_header(self, target: Target, name: str) -> Btf:
        """The types of "kernel<linux/x.h>", for @cast."""
        from pystap.build import headers

        return headers.finder(target.build_tree, paths.cache(), paths.runtime(), self.options.kbuild_vars)(name)

    def _stop_where_it_cannot_run(self, target: Target) -> None:
        """A module for another kernel is built, not run: as stap does with -r."""
        options = self.options
        if options.last_pass == 5 and options.vm is None and not target.running:
            if not options.suppress_warnings:
                message = f"WARNING: kernel {target.release} is not running here, forcing -p4; --vm runs it in a guest"
                print(message, file=sys.stderr)
            self.options = replace(options, last_pass=4)

    def _check_kernel(self, target: Target) -> None:
        """One clear error before anything is compiled, where the kernel or this machine can not do it."""
        from pystap import doctor

        if self.options.last_pass >= 4:
            doctor.require_build(target)
        if self.options.last_pass == 5:
            doctor.require_run(target, self.options)

    def _check_engines(self, program: Program, target: Target) -> None:
        from pystap import doctor

        doctor.require_engines(target, {p.site.engine for p in program.probes})

    def _parse(
        self, scripts: list[SourceFile], target: Target, used: set[int]
    ) -> tuple[list[ast.File], Library]:
        from pystap.library import open_library
        from pystap.syntax.parser import parse_scripts

        library = open_library(self.options, target, self.diagnostics)
        files = parse_scripts(scripts, library.context, library, self.diagnostics, used)
        self.diagnostics.stop_on_errors()
        return files, library

    def _warn_of_unused(self, used: set[int], library: Library) -> None:
        """What the library uses of the command line is known when all files that the script needs of it are read."""
        from pystap.syntax.parser import warn_of_unused

        warn_of_unused(used | library.arguments_used, library.context, self.diagnostics)

    def _elaborate(self, files: list[ast.File], library: Library, target: Target) -> Program:
        from pystap.elaborate import elaborate

        return elaborate(files, library, target, self.options, self.diagnostics)

    def _lower(self, program: Program) -> ir.Module:
        from pystap.lower import lower

        module = lower(program, self.options, self.diagnostics)
        self.diagnostics.stop_on_errors()
        return module

    def _translate(self, module: ir.Module, target: Target) -> ModuleSource:
        from pystap.codegen import translate
        from pystap.codegen.objects import missing_objects

        for name, why in missing_objects(self.options, target):
            self.diagnostics.warn(None, "objects", f"missing unwind/symbol data for module '{name}' ({why})")
        return translate(module, self.options, target)

    def _build(self, source: ModuleSource, target: Target) -> BuiltModule:
        from pystap.build import build

        options = self.options
        assert target.build_tree is not None  # doctor.require_build has seen to it
        keep = Path(tempfile.mkdtemp(prefix="stap", dir=paths.temporary())) if options.keep else None
        if keep is not None:
            print(f'Keeping temporary directory "{keep}"', file=sys.stderr)
        return build(
            source,
            target.build_tree,
            cache=paths.cache(),
            runtime=options.runtime_dir or paths.runtime(),
            use_cache=options.use_cache and not options.poison_cache and not options.keep,
            variables=options.kbuild_vars,
            keep=keep,
            verbose=options.verbose[3],
        )

    @contextmanager
    def _pass(self, number: int) -> Iterator[list[str]]:
        """Times a pass, prints its -v line, and turns its errors into PassError."""
        said: list[str] = []
        timer = Timer()
        try:
            yield said
            self.diagnostics.stop_on_errors()
        except StapError as error:
            self._show_messages(number)
            if number == 2 and self.options.semantic_keep_going:
                from pystap.diagnostics import catalogue

                print(catalogue(self.diagnostics.items), end="", file=sys.stderr)
            raise PassError(number, str(error)) from None
        self._show_messages(number)
        if self.options.verbose[number - 1]:
            used = f" using {memory()}," if number < 4 else ""
            print(f"Pass {number}: {' '.join(said)}{used} in {timer}.", file=sys.stderr)

    def _show_messages(self, number: int) -> None:
        from pystap.diagnostics import Printer

        if self._printer is None:
            self._printer = Printer(use_color(self.options), self.options.verbose[number - 1] > 0)
        for diagnostic in self.diagnostics.items[self._shown :]:
            print(self._printer(diagnostic), end="", file=sys.stderr)
        self._shown = len(self.diagnostics.items)
        errors = sum(1 for d in self.diagnostics.items if d.severity.value == "parse error")
        if number == 1 and errors:
            print(f"{errors} parse error{'s' if errors > 1 else ''}.", file=sys.stderr)

    def _print_trees(self, files: list[ast.File]) -> None:
        from pystap.syntax.unparse import unparse_file

        print("# parse tree dump")
        for file in files:
            print(f"# file {file.source.name}\n{unparse_file(file)}", end="")

    # --- results that are kept

    def _cached(self, key: str) -> Path | None:
        options = self.options
        found = script_cache.find(key, options)
        if found is None:
            return None
        module, messages = found
        if messages and not options.suppress_warnings:
            print(messages, end="", file=sys.stderr)
        for number in (3, 4):
            if options.verbose[number - 1]:
                print(f"Pass {number}: using cached {module}", file=sys.stderr)
        return module

    def _remember(self, key: str, module: Path) -> None:
        if not self.options.use_cache or self.options.keep:
            return
        from pystap.diagnostics import Printer

        printer = Printer(False)
        user = sys.modules.get("pystap.debuginfo.user")  # what no point needed was not imported
        messages = "".join(map(printer, self.diagnostics.items)) + printer.summary()
        script_cache.remember(key, module, messages, user.opened() if user else {})

    def _signed(self, module: Path, target: Target) -> Path:
        """With --sign-module a signed copy of the module."""
        folder = self.options.sign_module
        if folder is None:
            return module
        from pystap.build import signing

        assert target.build_tree is not None
        try:
            return signing.sign(module, target.build_tree, signing.signing_key(folder))
        except StapError as error:
            raise PassError(4, str(error)) from None

    def _deliver(self, module: Path) -> Path:
        """With -m NAME the module is kept here under that name; after pass 4 its path is printed."""
        options = self.options
        if options.module_name:
            copy = Path(f"{options.module_name}.ko")
            _replace(module, copy)
            if options.last_pass == 4:
                print(copy)
            return copy.resolve()
        if options.last_pass == 4:
            print(module)
        return module

    # --- pass 5

    def _run_module(self, module: Path, target: Target) -> int:
        from pystap.run import run as run_module
        from pystap.run.options import RunOptions

        options = self.options
        verbose = options.verbose[4]
        _warn_of_parameters(module, options)
        timer = Timer()
        if verbose:
            print("Pass 5: starting run.", file=sys.stderr)
        sys.stdout.flush()
        status = run_module(
            module,
            RunOptions(
                command=options.command,
                target_pid=options.pid,
                output=options.output,
                timeout=options.timeout,
                params=options.globals,
                suppress_warnings=options.suppress_warnings,
                rotate=options.rotate,
                vm=target.release if options.vm is not None else None,
                verbose=verbose,
                buffer_mb=options.buffer_mb,
                bulk=options.bulk,
                flight_recorder=options.flight_recorder,
            ),
        )
        if verbose:
            print(f"Pass 5: run completed in {timer}.", file=sys.stderr)
        if status != 0:
            raise PassError(5)
        return 0


def _warn_of_parameters(module: Path, options: Options) -> None:
    """-G of a variable that is not there is a slip, and the kernel ignores such a parameter without a word."""
    if not options.globals or options.suppress_warnings:
        return
    data = module.read_bytes()
    for name, _ in options.globals:
        if f"\0g_{name}_parameter\0".encode() not in data:
            print(f"WARNING: -G sets '{name}', but the script has no such global variable", file=sys.stderr)


def _replace(module: Path, copy: Path) -> None:
    """Copies a module into the working directory, not through a link that somebody may have put there."""
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".stap") as work:
        fresh = Path(work, copy.name)
        shutil.copy(module, fresh)
        fresh.chmod(0o644)
        fresh.replace(copy)


def use_color(options: Options) -> bool:
    """Whether messages are coloured."""
    if options.color == "auto":
        return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and "NO_COLOR" not in os.environ
    return options.color == "always"


# --- figures of -v ---------------------------------------------------------------------------------------


def _counts(program: Program) -> str:
    functions = sum(len(overloads) for overloads in program.functions.values())
    counts = (
        (len(program.probes), "probe"),
        (functions, "function"),
        (len(program.embedded), "embed"),
        (len(program.globals), "global"),
    )
    return ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)


def _print(text: str) -> None:
    print(text.rstrip("\n"))


# --- errands that need no script --------------------------------------------------------------------------


def _clean_cache(options: Options, text: str) -> int:
    from pystap.run import clean

    clean.clean_cache()
    return 0


def _doctor(options: Options, text: str) -> int:
    from pystap import doctor

    return doctor.run(options)


def _prep(options: Options, text: str) -> int:
    from pystap.run import prep

    return prep.main([text] if text else [])


def _resolve(options: Options, text: str) -> int:
    from pystap import resolve

    return resolve.run(options, text)


def _attach(options: Options, text: str) -> int:
    from pystap.run import local
    from pystap.run.options import RunOptions

    how = RunOptions(
        output=options.output,
        timeout=options.timeout,
        suppress_warnings=options.suppress_warnings,
        rotate=options.rotate,
        verbose=options.verbose[4],
        bulk=options.bulk,
    )
    return local.attach(text, how)


def _explain(options: Options, text: str) -> int:
    from pystap import explain

    _print(explain.page(text))
    return 0


_ERRANDS = {
    "clean-cache": _clean_cache,
    "prep": _prep,
    "doctor": _doctor,
    "resolve": _resolve,
    "attach": _attach,
    "explain": _explain,
}
