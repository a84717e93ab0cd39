"""The command line as values: Options (what to do) and Limits (the -D tunables), with stap's names and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """What one invocation was asked to do. Defaults are stap's."""

    script: str | None = None  # a file's name, or "-"
    expression: str | None = None  # -e
    additional: tuple[str, ...] = ()  # -E, repeatable
    arguments: tuple[str, ...] = ()  # $1 @1 ...
    last_pass: int = 5
    verbose: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    timing: bool = False  # -t
    keep: bool = False  # -k
    guru: bool = False  # -g
    unoptimized: bool = False  # -u
    suppress_warnings: bool = False
    warnings_are_errors: bool = False
    quiet: bool = False  # -q
    tapset_dirs: tuple[Path, ...] = ()  # -I
    runtime_dir: Path | None = None  # -R
    release: str | None = None  # -r RELEASE or /PATH of a build tree
    module_name: str | None = None  # -m
    output: str | None = None  # -o
    command: str | None = None  # -c
    pid: int | None = None  # -x
    timeout: float | None = None  # -T
    defines: tuple[tuple[str, str], ...] = ()  # -D NAME[=VALUE]
    globals: tuple[tuple[str, str], ...] = ()  # -G VAR=VALUE
    buffer_mb: int | None = None  # -s
    bulk: bool = False  # -b
    flight_recorder: bool = False  # -F
    rotate: str | None = None  # -S
    objects: tuple[str, ...] = ()  # -d
    ldd: bool = False
    all_modules: bool = False
    kbuild_vars: tuple[str, ...] = ()  # -B
    list_points: str | None = None  # -l / -L
    list_vars: bool = False  # it was -L
    dump: str | None = None  # probe-types, probe-aliases, functions; or a stage of --dump
    vm: str | None = None  # --vm[=RELEASE]: "" is the default release
    color: str = "auto"
    compatible: str | None = None
    privilege: str = "stapdev"
    sign_module: str | None = None  # --sign-module[=FOLDER]: the key's folder, "" for the usual ones
    skip_badvars: bool = False
    suppress_handler_errors: bool = False
    suppress_time_limits: bool = False
    no_global_var_display: bool = False
    prologue_searching: str = "auto"
    use_cache: bool = True
    poison_cache: bool = False
    modinfo: tuple[str, ...] = ()
    runtime: str = "kernel"
    semantic_keep_going: bool = False
    extra: dict[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def dump_only(self) -> bool:
        """Whether a --dump-* listing that needs no script is wanted."""
        return self.dump in {"probe-types", "probe-aliases", "functions"}

    def defined(self, name: str) -> str | None:
        """The value of the last -D NAME[=VALUE], "1" where none was given; None: not defined."""
        for key, value in reversed(self.defines):
            if key == name:
                return value or "1"
        return None

    def number(self, name: str, default: int) -> int:
        """A numeric -D tunable."""
        value = self.defined(name)
        return default if value is None else int(value, 0)
