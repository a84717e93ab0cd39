"""argv -> Options; exit statuses; nothing else.

The grammar is getopt's with permutation, as stap's: options after the script's name still count, `--` ends them.
"""

from __future__ import annotations

import getopt
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pystap import STAP_VERSION, __version__, paths
from pystap.diagnostics import StapError
from pystap.options import Options
from pystap.tunables import checked

USAGE = """Usage: pystap [options] FILE [args]         Run the script in a file.
   or: pystap [options] -                   Run the script on standard input.
   or: pystap [options] -e SCRIPT [args]    Run the given script.
   or: pystap [options] -l PROBES           List matching probe points.
   or: pystap [options] -L PROBES           List matching probe points and their variables.

Run:
  --vm[=RELEASE]      run on a throwaway kernel in QEMU: no root and no kprobes needed here
  -c CMD              start CMD when the probes are armed; target() is its pid; end with it
  -x PID              target() is PID
  -T SECONDS          end after so many seconds
  -o FILE             write the output to FILE, a name that may have strftime(3)'s conversions
  -g                  guru mode: embedded C, writing to $variables
  -D NAME[=VALUE]     set a limit or switch of the module (MAXACTION, MAXSTRINGLEN, ...)
  -G VAR=VALUE        set a global variable's initial value
  -s MB               size of the output buffers
  -b                  bulk mode: one output file per CPU
  -F                  flight recorder: leave the module running
  -A MODULE           show what a module that -F left running has printed, and go on
  -S MB[,N]           rotate the output file at MB, keep N files
  -t                  report hits and cycles of each probe at the end
Compile:
  -r RELEASE|PATH     for another kernel, or a build tree
  -p 1..5             stop after parse, elaborate, translate, build, run
  -m NAME             name of the module; keeps NAME.ko here
  -I DIR              another folder of tapset files
  -E SCRIPT           more script text, repeatable
  -d OBJECT           add symbol and unwind data of a module or program
  -B NAME=VALUE       variable for kbuild
  -R DIR              another runtime folder
  -u                  do not optimise (keep unused functions and variables)
  -k                  keep the temporary folder
  -v, --vp NNNNN      tell more, for all passes or for each
  -w, -W              no warnings; warnings are errors
  --sign-module[=DIR] sign the module with the key in DIR (Secure Boot), by default a Machine Owner Key
  --compatible VERSION, --privilege LEVEL, --skip-badvars, --suppress-handler-errors, --suppress-time-limits,
  --no-global-var-display, --prologue-searching[=WHEN], --modinfo NAME=VALUE, --ldd, --all-modules
List and look after:
  --dump-probe-types, --dump-probe-aliases, --dump-functions
  --dump STAGE        show a stage's result: ast, program, ir
  --doctor            check what this machine offers, and say how to mend what lacks
  --resolve ADDRESS   file and line of func+0x5/0x11 [module] (with -d OBJECT), or of an oops on standard input
  --explain PAGE      the page that a message points to: error::pass2, error::dwarf, ...
  --clean-cache, --disable-cache, --poison-cache
  --color[=WHEN]      never, auto or always
  -h, --help, -V, --version

Fetch a kernel for --vm, or headers: pystap-prep [RELEASE]
"""

TAIL = "Try '--help' for more information."

_SHORT = "hVvtp:I:e:E:o:R:r:a:m:kgPc:x:D:bs:uqwWl:L:d:FA:S:B:G:T:i"
_LONG = [
    "help", "version", "vp=", "disable-cache", "poison-cache", "clean-cache", "compatible=", "check-version",
    "skip-badvars", "suppress-handler-errors", "suppress-time-limits", "debug", "modinfo=", "privilege=",
    "unprivileged", "runtime=", "prologue-searching=", "prologue-searching-auto", "color=", "colour=", "color-auto",
    "colour-auto", "ldd", "all-modules", "sysroot=", "tmpdir=", "download-debuginfo=", "download-debuginfo-yes",
    "target-namespaces=", "example=", "no-global-var-display", "dump-probe-types", "dump-probe-aliases",
    "dump-functions", "dump=", "doctor", "resolve=", "vm=", "vm-default", "prep=", "prep-default",
    "sign-module=", "sign-module-default", "interactive", "language-server", "monitor", "remote=", "remote-prefix",
    "rlimit-as=", "rlimit-cpu=", "rlimit-nproc=", "rlimit-stack=", "rlimit-fsize=", "semantic-keep-going", "build-as=",
    "save-uprobes", "explain=",
]  # fmt: skip
# Options whose argument is optional are told apart before getopt sees them.
_OPTIONAL = {
    "--vm": "--vm-default",
    "--color": "--color-auto",
    "--colour": "--colour-auto",
    "--prep": "--prep-default",
    "--prologue-searching": "--prologue-searching-auto",
    "--sign-module": "--sign-module-default",
    "--download-debuginfo": "--download-debuginfo-yes",
}
_SAFE = {
    "-D": r"[a-z_][a-z_0-9]*(=-?[a-z_0-9]+)?",
    "-G": r"[a-z_][a-z0-9_]*=[a-z0-9_.-]+",
    "-S": r"[0-9]+(,[0-9]+)?",
    "-m": r"[a-z0-9_]+(\.ko)?",
    "-a": r"[a-z0-9_-]+",
    "--modinfo": r"[a-z_][a-z0-9_]*=.+",
}
_UNSUPPORTED = {
    "-i": "interactive mode",
    "--interactive": "interactive mode",
    "--language-server": "the language server",
    "--monitor": "the monitor",
    "--remote": "running on other hosts",
    "--remote-prefix": "running on other hosts",
    "--example": "bundled examples by name",
    "--build-as": "building as another user",
    "--sysroot": "foreign roots",
    "-a": "cross-compilation",
}


_NO_MEMORY = "ERROR: there is not enough memory: end something else, or allow more (ulimit -v)"


class UsageError(StapError):
    """The command line is wrong: its message is printed with the pointer to --help."""


def main(argv: list[str] | None = None) -> int:
    """Runs pystap; returns the exit status."""
    status = _run(argv)
    try:
        sys.stdout.flush()
    except OSError as error:
        status = _lost_output(error)
    return status


def _lost_output(error: OSError) -> int:
    """A reader that went away has had enough; other output that cannot be written is missed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries again, and says so, when it ends
    if not isinstance(error, BrokenPipeError):
        print(f"ERROR: cannot write the output: {error.strerror}", file=sys.stderr)
    return 1


def _run(argv: list[str] | None) -> int:
    words = _rc_words() + _first_line_words(sys.argv[1:] if argv is None else argv)
    try:
        options = parse(words)
        if "help" in options.extra or "version" in options.extra:
            print(USAGE if "help" in options.extra else version_text() + "\n", end="")
            return 0
        from pystap import driver

        return driver.run(options)
    except UsageError as error:
        print(f"{error}\n{TAIL}", file=sys.stderr)
    except StapError as error:
        if str(error):
            print(f"ERROR: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
    except BrokenPipeError as error:
        return _lost_output(error)
    except MemoryError:
        print(_NO_MEMORY, file=sys.stderr)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"ERROR: {error.strerror or error}{where}", file=sys.stderr)
    except Exception as error:
        _report_own_mistake(error, words)
    return 1


def _report_own_mistake(error: Exception, words: list[str]) -> None:
    """A bug of pystap: one line for the user, the traceback under -vv."""
    print(f"ERROR: pystap made a mistake of its own: {type(error).__name__}: {error}", file=sys.stderr)
    if sum(w.count("v") for w in words if re.fullmatch(r"-v+", w)) >= 2:
        import traceback

        traceback.print_exception(error)
    else:
        print("  Please report it, with the script and what -vv adds to this message.", file=sys.stderr)


def parse(words: list[str]) -> Options:
    """The options that a command line means; raises UsageError."""
    cut = words.index("--") if "--" in words else len(words)
    words = [_OPTIONAL.get(w, w) for w in words[:cut]] + words[cut:]
    try:
        pairs, rest = getopt.gnu_getopt(words, _SHORT, _LONG)
    except getopt.GetoptError as error:
        raise UsageError(f"pystap: {error}") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in _UNSUPPORTED:
            raise UsageError(f"pystap does not have {_UNSUPPORTED[name]} ({name}) yet.")
        _check_safe(name, value)
        action = _ACTIONS.get(name)
        if action is not None:
            action(values, value)
    options = _positional(replace(Options(), **values), rest)
    options = replace(options, defines=checked(options.defines))
    _check_consistency(options)
    return options


def _positional(options: Options, rest: list[str]) -> Options:
    asks = options.list_points is not None or options.dump_only or bool(options.extra)
    if options.expression is None and rest and not asks:
        return replace(options, script=rest[0], arguments=tuple(rest[1:]))
    return replace(options, arguments=tuple(rest))


def _check_safe(name: str, value: str) -> None:
    pattern = _SAFE.get(name)
    if pattern is not None and not re.fullmatch(pattern, value, re.IGNORECASE):
        raise UsageError(f"ERROR: Safety pattern mismatch for {name} parameter ('{value}' vs. '^{pattern}$')")


def _check_consistency(options: Options) -> None:
    listing = options.list_points is not None or options.dump_only
    has_script = options.script is not None or options.expression is not None
    if not has_script and not listing and not options.extra:
        raise UsageError("A script must be specified.")
    if options.list_points is not None and options.expression is not None:
        raise UsageError("Cannot specify a script with -l/-L/--dump-* switches.")
    if options.command is not None and options.pid is not None:
        raise UsageError("You can't specify -c and -x together.")
    if "attach" in options.extra:
        _check_attached(options)
    if options.rotate is not None and options.output is None:
        raise UsageError("You have to specify output FILE with '-S' option.")
    if options.guru and options.privilege != "stapdev":
        raise UsageError(f"You can't specify -g and --privilege={options.privilege} together.")
    if options.vm is not None and options.pid is not None:
        raise UsageError("You can't specify --vm and -x together: no process of this machine runs in the guest.")


def _check_attached(options: Options) -> None:
    """What only the start of a session can have been told."""
    given = (("-c", options.command), ("-x", options.pid), ("-s", options.buffer_mb), ("-F", options.flight_recorder))
    for name, value in given:
        if value:
            raise UsageError(f"You can't specify the '{name}' and '-A' options together.")


# --- one action an option --------------------------------------------------------------------------------

Action = Callable[[dict[str, Any], str], None]


def _put(key: str, convert: Callable[[str], Any] = str) -> Action:
    def put(values: dict[str, Any], text: str) -> None:
        values[key] = convert(text)

    return put


def _flag(key: str, value: Any = True) -> Action:
    def put(values: dict[str, Any], text: str) -> None:
        values[key] = value

    return put


def _append(key: str, convert: Callable[[str], Any] = str) -> Action:
    def put(values: dict[str, Any], text: str) -> None:
        values[key] = (*values.get(key, ()), convert(text))

    return put


def _extra(key: str) -> Action:
    def put(values: dict[str, Any], text: str) -> None:
        values.setdefault("extra", {})[key] = text

    return put


def _number(low: int, high: int, message: str) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
            raise UsageError(message)
        return int(text)

    return convert


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.001 <= seconds < 1e9:
        raise UsageError("Invalid timeout interval.")
    return seconds


def _choice(option: str, *choices: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in choices:
            raise UsageError(f"Invalid argument '{text}' for {option}.")
        return text

    return convert


def _expression(values: dict[str, Any], text: str) -> None:
    if "expression" in values:
        raise UsageError("Only one script can be given on the command line.")
    values["expression"] = text


def _listing(variables: bool) -> Action:
    def put(values: dict[str, Any], text: str) -> None:
        if "list_points" in values or values.get("dump"):
            raise UsageError("ERROR: only one of the -l/-L/--dump-* switches may be specified")
        values.update(list_points=text, list_vars=variables)

    return put


def _dump(kind: str) -> Action:
    def put(values: dict[str, Any], text: str) -> None:
        if "list_points" in values or values.get("dump"):
            raise UsageError("ERROR: only one of the -l/-L/--dump-* switches may be specified")
        values["dump"] = kind

    return put


def _verbose(values: dict[str, Any], text: str) -> None:
    values["verbose"] = tuple(level + 1 for level in values.get("verbose", (0,) * 5))


def _verbose_per_pass(values: dict[str, Any], text: str) -> None:
    if not re.fullmatch(r"\d{1,5}", text):
        raise UsageError(f"Invalid --vp argument: '{text}'")
    levels = values.get("verbose", (0,) * 5)
    values["verbose"] = tuple(level + int(d) for level, d in zip(levels, text.ljust(5, "0"), strict=True))


def _name_value(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _namespaces(text: str) -> tuple[str, str]:
    return "STAP_TARGET_NAMESPACES", str(_number(1, 1 << 22, "Invalid process ID number for target namespaces.")(text))


def _suppress_time_limits(values: dict[str, Any], text: str) -> None:
    if not values.get("guru"):
        raise UsageError("You must specify '-g' before '--suppress-time-limits'.")
    values["suppress_time_limits"] = True


def _privilege(values: dict[str, Any], text: str) -> None:
    if "privilege" in values:
        raise UsageError("Privilege level may be set only once.")
    values["privilege"] = _choice("--privilege", "stapusr", "stapsys", "stapdev")(text)


def _release(text: str) -> str:
    if text and not re.fullmatch(r"[-/._+~0-9a-zA-Z]+", text):
        raise UsageError(f"ERROR: Safety pattern mismatch for -r parameter ('{text}')")
    return text


_ACTIONS: dict[str, Action] = {
    "-h": _extra("help"),
    "--help": _extra("help"),
    "-V": _extra("version"),
    "--version": _extra("version"),
    "--doctor": _extra("doctor"),
    "--resolve": _extra("resolve"),
    "--prep": _extra("prep"),
    "--prep-default": _extra("prep"),
    "--explain": _extra("explain"),
    "--clean-cache": _extra("clean-cache"),
    "-A": _extra("attach"),
    "-v": _verbose,
    "--vp": _verbose_per_pass,
    "-t": _flag("timing"),
    "-p": _put("last_pass", _number(1, 5, "Invalid pass number (should be 1-5).")),
    "-I": _append("tapset_dirs", Path),
    "-e": _expression,
    "-E": _append("additional"),
    "-o": _put("output"),
    "-R": _put("runtime_dir", Path),
    "-r": _put("release", _release),
    "-m": _put("module_name", lambda text: text.removesuffix(".ko")),
    "-k": _flag("keep"),
    "-g": _flag("guru"),
    "-P": _flag("prologue_searching", "always"),
    "-c": _put("command"),
    "-x": _put("pid", _number(1, 1 << 22, "Invalid target process ID number.")),
    "-D": _append("defines", _name_value),
    "-b": _flag("bulk"),
    "-s": _put("buffer_mb", _number(1, 4095, "Invalid buffer size (should be 1-4095).")),
    "-u": _flag("unoptimized"),
    "-q": _flag("quiet"),
    "-w": _flag("suppress_warnings"),
    "-W": _flag("warnings_are_errors"),
    "-l": _listing(False),
    "-L": _listing(True),
    "--dump-probe-types": _dump("probe-types"),
    "--dump-probe-aliases": _dump("probe-aliases"),
    "--dump-functions": _dump("functions"),
    "--dump": _put("dump", _choice("--dump", "ast", "program", "ir")),
    "-d": _append("objects"),
    "--ldd": _flag("ldd"),
    "--all-modules": _flag("all_modules"),
    "-F": _flag("flight_recorder"),
    "-S": _put("rotate"),
    "-B": _append("kbuild_vars"),
    "-G": _append("globals", _name_value),
    "-T": _put("timeout", _seconds),
    "--vm": _put("vm", _release),
    "--vm-default": _flag("vm", ""),
    "--color": _put("color", _choice("--color", "never", "auto", "always")),
    "--colour": _put("color", _choice("--colour", "never", "auto", "always")),
    "--color-auto": _flag("color", "auto"),
    "--colour-auto": _flag("color", "auto"),
    "--compatible": _put("compatible"),
    "--privilege": _privilege,
    "--unprivileged": lambda values, text: _privilege(values, "stapusr"),
    "--sign-module": _put("sign_module"),
    "--sign-module-default": _flag("sign_module", ""),
    "--skip-badvars": _flag("skip_badvars"),
    "--target-namespaces": _append("defines", _namespaces),
    "--suppress-handler-errors": _flag("suppress_handler_errors"),
    "--suppress-time-limits": _suppress_time_limits,
    "--semantic-keep-going": _flag("semantic_keep_going"),
    "--no-global-var-display": _flag("no_global_var_display"),
    "--prologue-searching": _put("prologue_searching", _choice("--prologue-searching", "never", "auto", "always")),
    "--prologue-searching-auto": _flag("prologue_searching", "auto"),
    "--disable-cache": _flag("use_cache", False),
    "--poison-cache": _flag("poison_cache"),
    "--modinfo": _append("modinfo"),
    "--debug": _flag("keep"),
    "--runtime": _put("runtime", _choice("--runtime", "kernel")),
}


# --- words from elsewhere ----------------------------------------------------------------------------------


def _rc_words() -> list[str]:
    """The words of $SYSTEMTAP_DIR/rc (default ~/.systemtap/rc), which stand before the command line's."""
    folder = os.environ.get("SYSTEMTAP_DIR") or os.path.expanduser("~/.systemtap")
    name = os.path.join(folder, "rc")
    try:
        with open(name, encoding="utf-8") as file:
            reason = paths.foreign(Path(os.path.realpath(name)))
            if reason:
                print(f"WARNING: {name} {reason}; its options are not used", file=sys.stderr)
                return []
            return [word for line in file for word in shlex.split(line, comments=True)]
    except (OSError, ValueError):
        return []


def _first_line_words(words: list[str]) -> list[str]:
    """Splits the one word that Linux makes of all options of a script's `#!` line (execve(2))."""
    if len(words) >= 2 and words[0].startswith("-") and " " in words[0] and _is_interpreter_line(words[1], words[0]):
        return shlex.split(words[0]) + words[1:]
    return words


def _is_interpreter_line(path: str, word: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            line = file.readline()
    except OSError:
        return False
    return line.startswith("#!") and line.rstrip().endswith(word.strip())


def version_text() -> str:
    """What -V prints."""
    return f"pystap version {__version__} (speaks SystemTap {STAP_VERSION})"
