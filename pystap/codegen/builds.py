"""Build-ids of what places of probes and variables were looked up in: what is of another build is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pystap.codegen import names

if TYPE_CHECKING:
    from pystap.codegen.tables import Tables
    from pystap.ir import nodes as ir

Build = tuple[str, str]  # a module's name, or "kernel", and its build-id


def known_builds(module: ir.Module, tables: Tables, target: Any) -> list[Build]:
    """The kernel first, then modules; nothing for a script that looks at neither."""
    sites = [p.site for p in module.probes if hasattr(p.site, "module")]
    if target is None or not (sites or tables.modules):
        return []
    modules = {s.module or "" for s in sites} | tables.modules
    ids = [("kernel", target.build_id or "")]
    ids += [(name, build) for name in sorted(modules - {""}) if (build := target.module_build_id(name))]
    return ids


def build_information(builds: list[Build]) -> list[str]:
    """For the runner, which asks the kernel and the modules that are loaded."""
    text = ",".join(f"{name}={build}" for name, build in builds if build)
    return [f"MODULE_INFO(stap_builds, {names.c_string(text)});"] if text else []


def build_lines(builds: list[Build]) -> list[str]:
    """The table of runtime/builds.h: modules that may come later."""
    rows = [f"\t{{ {names.c_string(name)}, {names.c_string(build)} }}," for name, build in builds[1:]]
    end = ["};", "static const unsigned int stap_build_count = ARRAY_SIZE(stap_builds);"]
    return ["static struct stap_build stap_builds[] = {", *rows, *end] if rows else []
