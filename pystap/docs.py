"""The comments of the tapset library -> a man page and an HTML page for each of its files; the command's own pages.

A comment stands before what it tells of: a function, an alias of probes, a macro. Run as `python -m pystap.docs DIR`.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pystap import __version__, explain, paths
from pystap.tunables import TUNABLES

__all__ = [
    "Entry",
    "Subject",
    "command_page",
    "html_page",
    "index_page",
    "man_page",
    "probes_page",
    "read",
    "subjects",
    "undocumented",
    "write",
]

_COMMENT = re.compile(r"/\*\*(.*?)\*/\s*", re.S)
_DECLARATION = re.compile(
    r"^(?:(?:private\s+)?function\s+(?P<function>\w+)(?P<form>[^{%=]*)|probe\s+(?P<probe>[\w.]+(?:\s*=\s*[\w.]+(?=\s*\+?=))*)\s*\+?=|@define\s+(?P<macro>\w+)(?P<uses>[^%]*))",
    re.M,
)
_EMBEDDED = re.compile(r"%\{.*?%\}", re.S)
_ASSIGNED = re.compile(r"^\t(\w+) = ", re.M)


@dataclass(frozen=True, slots=True)
class Entry:
    """One name that scripts may use."""

    name: str
    kind: str  # function, probe or macro
    form: str  # how it is written
    text: str  # "" where there is no comment
    variables: tuple[str, ...] = ()  # of an alias


@dataclass(frozen=True, slots=True)
class Subject:
    """One file of the library."""

    name: str  # its path in the library without the suffix, with dots
    summary: str
    entries: tuple[Entry, ...]


def read(text: str, name: str) -> Subject:
    """What a file of the library says of itself."""
    bare = _EMBEDDED.sub(lambda m: "%{" + "\n" * m[0].count("\n") + "%}", text)
    comments = {m.end(): m[1] for m in _COMMENT.finditer(bare)}
    declared = list(_DECLARATION.finditer(bare))
    ends = [*(m.start() for m in declared[1:]), len(bare)]
    entries = [e for m, end in zip(declared, ends, strict=False) if (e := _entry(m, bare[m.end() : end], comments))]
    return Subject(name, _summary(text), tuple(entries))


def _entry(found: re.Match[str], body: str, comments: dict[int, str]) -> Entry | None:
    """A declaration as what is told of it; None where it is the library's own."""
    if found["function"]:
        name, kind, form = found["function"], "function", found["function"] + found["form"].strip()
    elif found["macro"]:
        name, kind, form = found["macro"], "macro", "@" + found["macro"] + found["uses"].strip()
    else:
        names = re.split(r"\s*=\s*", found["probe"])
        name, kind, form = names[0], "probe", ", ".join(names)
    if name.startswith("_") or found[0].startswith("private"):
        return None
    text = _plain(comments.get(found.start(), ""), name)
    variables = tuple(dict.fromkeys(v for v in _ASSIGNED.findall(body) if v[0] != "_")) if kind == "probe" else ()
    return Entry(name, kind, form, text, variables)


def _plain(comment: str, name: str) -> str:
    """A comment in one line, without the name that it may begin with."""
    lines = (re.sub(r"^\s*\*\s?", "", line).strip() for line in comment.strip().splitlines())
    text = " ".join(line for line in lines if line).removeprefix(f"{name}: ")
    return text[:1].upper() + text[1:]


def _summary(text: str) -> str:
    """The comment that a file begins with, without the file's name."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        lines.append(line.lstrip("/").strip())
    summary = re.sub(r"^[\w./-]+\.stpm?:\s*", "", " ".join(lines)).strip()
    return summary[:1].upper() + summary[1:]


def subjects(folder: Path) -> Iterator[Subject]:
    """Every file of a library that has something to tell of."""
    for path in sorted([*folder.rglob("*.stp"), *folder.rglob("*.stpm")]):
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        subject = read(path.read_text("utf-8"), f"{name}.macros" if path.suffix == ".stpm" else name)
        if subject.entries:
            yield subject


def undocumented(folder: Path) -> list[str]:
    """The names for scripts that no comment tells of; of overloads one comment is enough."""
    told: dict[str, str] = {}
    for subject in subjects(folder):
        for entry in subject.entries:
            told[entry.name] = told.get(entry.name, "") + entry.text
    return sorted(name for name, text in told.items() if not text)


_HEADINGS = (("function", "FUNCTIONS"), ("probe", "PROBES"), ("macro", "MACROS"))


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def man_page(subject: Subject) -> str:
    """A subject in roff, for man(1), section 3stap."""
    title = f"tapset::{subject.name}"
    lines = [
        f'.TH "{title.upper()}" 3stap "" "pystap {__version__}" "Tapset library"',
        *(".SH NAME", f"{_roff(title)} \\- {_roff(subject.summary.split('. ')[0].rstrip('.') or subject.name)}"),
        *([".SH DESCRIPTION", _roff(subject.summary)] if subject.summary else ()),
    ]
    for kind, heading in _HEADINGS:
        entries = [e for e in subject.entries if e.kind == kind]
        lines += [f".SH {heading}"] if entries else []
        for entry in entries:
            lines += [".TP", f".B {_roff(entry.form)}", _roff(entry.text) or "\\&"]
            lines += [".br", _roff("Variables: " + ", ".join(entry.variables))] if entry.variables else []
    return "\n".join(lines) + "\n"


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}}
dt{{font-family:monospace;font-weight:bold;margin-top:1em}}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def html_page(subject: Subject) -> str:
    """A subject as a page of HTML; every name is an anchor."""
    parts = [f"<p>{html.escape(subject.summary)}</p>", '<p><a href="index.html">All subjects</a></p>']
    for kind, heading in _HEADINGS:
        entries = [e for e in subject.entries if e.kind == kind]
        parts += [f"<h2>{heading.capitalize()}</h2>", "<dl>"] if entries else []
        seen: set[str] = set()
        for entry in entries:
            anchor = "" if entry.name in seen else f' id="{html.escape(entry.name)}"'
            seen.add(entry.name)
            more = f"<br>Variables: <code>{', '.join(entry.variables)}</code>" if entry.variables else ""
            parts.append(f"<dt{anchor}>{html.escape(entry.form)}</dt><dd>{html.escape(entry.text)}{more}</dd>")
        parts += ["</dl>"] if entries else []
    return _PAGE.format(title=html.escape(f"tapset {subject.name}"), body="\n".join(parts))


def index_page(found: list[Subject]) -> str:
    """The page that leads to all subjects."""
    rows = (f'<dt><a href="{s.name}.html">{s.name}</a></dt><dd>{html.escape(s.summary)}</dd>' for s in found)
    return _PAGE.format(title="The tapset library", body="<dl>\n" + "\n".join(rows) + "\n</dl>")


_COLUMN = 22  # where --help tells of an option


def _option(line: str) -> tuple[str, str]:
    """A line of --help as option and text; a list of options has none."""
    if len(line) > _COLUMN and line[_COLUMN - 1] == " " and line[_COLUMN] not in "- ":
        return line[:_COLUMN].strip(), line[_COLUMN:]
    return line.strip().rstrip(","), "As in stap(1)."


def command_page() -> str:
    """pystap(1): what --help says, as a man page."""
    done = subprocess.run([sys.executable, "-m", "pystap", "--help"], capture_output=True, text=True, check=True)
    usage, _, rest = done.stdout.partition("\n\n")
    lines = [
        f'.TH PYSTAP 1 "" "pystap {__version__}" "User commands"',
        *(".SH NAME", "pystap \\- run SystemTap scripts on a Linux kernel", ".SH SYNOPSIS", ".nf"),
        *(_roff(re.sub(r"^(Usage:| *or:) ", "", line)) for line in usage.splitlines()),
        *(".fi", ".SH OPTIONS"),
    ]
    for line in rest.splitlines():
        if line.startswith("  -"):
            option, text = _option(line)
            lines += [".TP", f".B {_roff(option)}", _roff(text)]
        elif line.endswith(":") and not line.startswith(" "):
            lines += [".SS " + line.rstrip(":")]
        elif line.strip():
            lines += [_roff(line.strip()) if line.startswith(" ") else f".PP\n{_roff(line)}"]
    lines += [".SH TUNABLES", "Set by", ".BR \\-D .", "Other names reach the C of the module as they are."]
    for tunable in TUNABLES:
        default = f" (default: {tunable.default})" if tunable.default else ""
        value = "" if tunable.low is None else "=N"
        lines += [".TP", f".B {_roff(tunable.name + value)}", _roff(tunable.meaning + default)]
    lines += [".SH SEE ALSO", "pystapprobes(3stap), tapset::*(3stap)"]
    return "\n".join(lines) + "\n"


def probes_page() -> str:
    """pystapprobes(3stap): every form of probe point."""
    from pystap.elaborate.points import PointTree
    from pystap.providers import PROVIDERS

    families: dict[str, list[str]] = {}
    for form in PointTree(PROVIDERS).types():
        families.setdefault(re.split(r"[.(]", form)[0], []).append(form)
    lines = [f'.TH PYSTAPPROBES 3stap "" "pystap {__version__}" "Probe points"']
    lines += [".SH NAME", "pystapprobes \\- the forms of probe points", ".SH DESCRIPTION"]
    lines += [
        "Aliases of the library are in the pages tapset::*(3stap).",
        ".B pystap \\-L POINT",
        "lists the variables.",
    ]
    for family, forms in families.items():
        lines += [f".SH {family.upper()}", ".nf", *map(_roff, forms), ".fi"]
    return "\n".join(lines) + "\n"


def explained_page(name: str, text: str) -> str:
    """One of the pages that messages point to, for man(1), section 7stap."""
    title, _, body = text.partition("\n\n")
    lines = [f'.TH "{name.upper()}" 7stap "" "pystap {__version__}"', ".SH NAME", _roff(title)]
    lines += [".SH DESCRIPTION"]
    for paragraph in body.rstrip("\n").split("\n\n"):
        if paragraph.startswith("    "):
            lines += [".nf", *map(_roff, paragraph.splitlines()), ".fi"]
        else:
            lines += [".PP", *(_item(line) for line in paragraph.splitlines())]
    return "\n".join(lines) + "\n"


def _item(line: str) -> str:
    return ".IP \\(bu 2\n" + _roff(line[2:]) if line.startswith("* ") else _roff(line.strip())


def write(library: Path, folder: Path) -> int:
    """Writes man/ and html/ into a folder and returns how many subjects there are."""
    found = list(subjects(library))
    for part in ("man", "html"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for subject in found:
        (folder / "man" / f"tapset::{subject.name}.3stap").write_text(man_page(subject), "utf-8")
        (folder / "html" / f"{subject.name}.html").write_text(html_page(subject), "utf-8")
    (folder / "man" / "pystap.1").write_text(command_page(), "utf-8")
    (folder / "man" / "pystapprobes.3stap").write_text(probes_page(), "utf-8")
    for name in explain.names():
        (folder / "man" / f"{name}.7stap").write_text(explained_page(name, explain.page(name)), "utf-8")
    (folder / "html" / "index.html").write_text(index_page(found), "utf-8")
    return len(found)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs-out")
    print(f"{write(paths.tapsets(), target)} subjects in {target}")
