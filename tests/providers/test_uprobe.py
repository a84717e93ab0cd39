"""What points in programs resolve to, on programs that gcc makes; compared with binutils where it knows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pystap.debuginfo.user import open_object
from pystap.diagnostics import Unresolved
from pystap.elaborate.points import PointTree
from pystap.options import Options
from pystap.providers.base import Request, Resolved
from pystap.providers.mark import MarkPoints
from pystap.providers.objects import libraries_of, programs
from pystap.providers.process import ProcessPoints, ProcessSite
from pystap.providers.uprobe import Uprobe, UprobeSite

from .test_points import point

SOURCES = Path(__file__).parent.parent / "vm" / "user"
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc (apt-get install gcc)")


@dataclass
class FakeTarget:
    kconfig: dict[str, str] = field(default_factory=lambda: {"CONFIG_UPROBES": "y"})
    release: str = "6.1.0-fake"


TREE = PointTree((Uprobe(), MarkPoints(), ProcessPoints()))


def resolve(text: str, target: FakeTarget | None = None, options: Options | None = None) -> list[Resolved]:
    found: list[Resolved] = []
    for match in TREE.match(point(text)):
        request = Request(match.pattern, match.arguments, match.point, target or FakeTarget(), options or Options())  # type: ignore[arg-type]
        found += match.owner.resolve(request)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    builds = {
        "pie": "-g -O1 t.c",
        "fixed": "-g -O1 -no-pie t.c",
        "bare": "-O1 t.c",
        "stripped": "-s -O1 t.c",
        "unoptimized": "-g -O0 t.c",
        "plain": "-g -O2 plain.c",
        "marks": "-O2 marks.c",
        "assembly": "-g -O1 assembly.S aliases.c",
        "assembly.so": "-g -O1 -shared -fPIC assembly.S aliases.c",
        "assembly_bare": "-O1 assembly.S aliases.c",
    }
    for name, text in builds.items():
        words = [SOURCES / w if "." in w else w for w in text.split()]
        subprocess.run(["gcc", "-w", "-o", folder / name, *words], check=True)
    return folder


def symbols(path: Path) -> dict[str, int]:
    out = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    return {m[2]: int(m[1], 16) for m in re.finditer(r"^([0-9a-f]+) \w (\S+)$", out, re.MULTILINE)}


@pytest.mark.parametrize("name", ["pie", "fixed", "bare"])
def test_functions_are_where_nm_has_them(made: Path, name: str) -> None:
    known = symbols(made / name)
    for function in ("leaf", "mid", "rec", "main"):
        (found,) = resolve(f'process("{made}/{name}").function("{function}").call')
        assert isinstance(found.site, UprobeSite)
        assert found.site.address == known[function]
        assert found.site.path == str(made / name)
        code = (made / name).read_bytes()[found.site.offset :][:4]
        assert code == open_object(str(made / name)).elf.read(known[function], 4)


def test_spelling(made: Path) -> None:
    """With DWARF by file and line, without by name alone."""
    (found,) = resolve(f'process("{made}/pie").function("leaf").return')
    assert (found.point, found.is_return) == (f'process("{made}/pie").function("leaf@{SOURCES}/t.c:5").return', True)
    (found,) = resolve(f'process("{made}/bare").function("leaf")')
    assert found.point == f'process("{made}/bare").function("leaf")'
    with pytest.raises(Unresolved, match="has no DWARF"):
        found.scope.lookup("x")


def test_prologue_of_unoptimized_code(made: Path) -> None:
    """Entries lie where arguments have been stored, returns where the return address is on top of the stack."""
    start = symbols(made / "unoptimized")["leaf"]
    (entry,) = resolve(f'process("{made}/unoptimized").function("leaf").call')
    (back,) = resolve(f'process("{made}/unoptimized").function("leaf").return')
    assert isinstance(entry.site, UprobeSite)
    assert isinstance(back.site, UprobeSite)
    assert entry.site.address > start == back.site.address


def test_assembly_is_entered_at_its_first_instruction(made: Path) -> None:
    """Its lines follow one another from there on: there is no prologue to be passed."""
    for name in ("number", "__number"):
        (entry,) = resolve(f'process("{made}/assembly").function("{name}").call')
        assert isinstance(entry.site, UprobeSite)
        assert entry.site.address == symbols(made / "assembly")["number"]


@pytest.mark.parametrize(
    ("program", "name"), [("assembly", "number"), ("assembly.so", "number"), ("assembly_bare", "__number")]
)
def test_code_of_several_names_is_one_place(made: Path, program: str, name: str) -> None:
    """By a name that is for other files, or the first symbol: the handler must not run once for each name."""
    found = resolve(f'process("{made}/{program}").function("*")')
    names = [re.split(r'[@"]', r.point.partition(".function")[2])[1] for r in found]
    assert [n for n in names if "number" in n] == [name]
    assert len({r.site for r in found}) == len(found)


def test_what_is_hidden_is_not_exported(made: Path) -> None:
    """A function of hidden visibility is external to its unit, but other files cannot call it."""
    names = {r.point.partition("@")[0] for r in resolve(f'process("{made}/assembly.so").function("*@*").exported')}
    assert {name.rpartition('"')[2] for name in names} >= {"shown", "shared", "number"}
    assert not any("hidden" in name for name in names)
    assert resolve(f'process("{made}/assembly.so").function("hidden").call')


@pytest.mark.parametrize(("wanted", "line"), [("sum@plain.c:14", 15), ("*@plain.c:14", 15), ("*@plain.c:26", 27)])
def test_the_nearest_line_of_all(made: Path, wanted: str, line: int) -> None:
    """A wildcard means the function that has it. The probe is called by the line that it is at, a listing as asked."""
    (found,) = resolve(f'process("{made}/plain").statement("{wanted}").nearest')
    assert found.point.endswith(f':{line}")')
    (listed,) = resolve(f'process("{made}/plain").statement("{wanted}").nearest', None, Options(list_points="x"))
    assert listed.point.endswith(f'{wanted.partition("@")[2].partition(":")[1:][1]}").nearest')
    assert listed.site == found.site


def test_wildcards_and_near_names(made: Path) -> None:
    names = {r.point for r in resolve(f'process("{made}/bare").function("*e*")')}
    assert f'process("{made}/bare").function("leaf")' in names
    with pytest.raises(Unresolved, match=r"no match \(similar functions: leaf"):
        resolve(f'process("{made}/bare").function("leef")')
    with pytest.raises(Unresolved, match="no match"):
        resolve(f'process("{made}/stripped").function("leaf")')


def test_lines(made: Path) -> None:
    (found,) = resolve(f'process("{made}/pie").statement("mid@t.c:6")')
    assert found.point == f'process("{made}/pie").statement("mid@{SOURCES}/t.c:6")'
    same = {r.point for r in resolve(f'process("{made}/pie").statement("mid@{SOURCES}/t.c:*")')}
    assert found.point in same
    with pytest.raises(Unresolved, match=rf"no line records for {SOURCES}/t.c:2 .*\(try :6\)"):
        resolve(f'process("{made}/pie").statement("mid@t.c:2")')
    (near,) = resolve(f'process("{made}/pie").statement("mid@t.c:4").nearest')
    assert near.point == found.point
    with pytest.raises(Unresolved, match="known to DWARF debug-info only"):
        resolve(f'process("{made}/bare").statement("mid@t.c:6")')


def test_stubs_are_where_objdump_has_them(made: Path) -> None:
    out = subprocess.run(["objdump", "-d", made / "plain"], capture_output=True, text=True, check=True).stdout
    known = {m[2]: int(m[1], 16) for m in re.finditer(r"^([0-9a-f]+) <(\w+)@plt>:$", out, re.MULTILINE)}
    found = resolve(f'process("{made}/plain").plt("[fmp]*")')
    assert {dict(r.texts)["$name"]: r.site.address for r in found if isinstance(r.site, UprobeSite)} == {
        name: address for name, address in known.items() if name[0] in "fmp"
    }


def test_libraries(made: Path) -> None:
    """Found as ldd finds them; a library's points count only in the program that is named."""
    out = subprocess.run(["ldd", made / "pie"], capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"(/\S+) \(0x", out)
    assert {str(Path(p).resolve()) for p in listed} == {
        str(Path(p).resolve()) for p in libraries_of(str(made / "pie")).values()
    }
    (found,) = resolve(f'process("{made}/pie").library("libc.so.6").function("getpid").call')
    assert isinstance(found.site, UprobeSite)
    assert found.site.program == str(made / "pie")
    assert found.point.startswith(f'process("{made}/pie").library("/usr/lib/')
    with pytest.raises(Unresolved, match="no library 'nothing'"):
        resolve(f'process("{made}/pie").library("nothing").function("f")')


def test_programs(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In PATH, by glob, and through the interpreters of scripts."""
    monkeypatch.setenv("PATH", f"{made}:/bin")
    script = made / "script"
    script.write_text("#!/usr/bin/env plain\n")
    assert programs("pie") == [str(made / "pie")]
    assert programs(str(script)) == [str(made / "plain")]
    assert programs(f"{made}/{{pie,fix*}}") == [str(made / "pie"), str(made / "fixed")]
    with pytest.raises(Unresolved, match="cannot find executable 'nowhere'"):
        programs("nowhere")


@pytest.mark.parametrize("path", ["/lib*/libc.so.6", "/usr/lib64/libc.so.6", "/lib64/libc.so.6", "/lib*/libc.so.*"])
def test_libraries_where_other_distributions_have_them(path: str) -> None:
    """Debian's libraries lie one folder deeper than in the scripts that most people share."""
    assert programs(path) == [os.path.realpath("/usr/lib/x86_64-linux-gnu/libc.so.6")]


def test_returns_that_would_break_the_program(made: Path) -> None:
    with pytest.raises(Unresolved, match="nowhere to return to"):
        resolve(f'process("{made}/pie").function("_start").return')
    names = [r.point for r in resolve(f'process("{made}/pie").function("*").return')]
    assert any("main" in name for name in names)
    assert not any("_start" in name for name in names)
    assert any("_start" in r.point for r in resolve(f'process("{made}/pie").function("*").call'))


def test_what_unwinds_past_probed_returns(made: Path, tmp_path: Path) -> None:
    """The engine probes what throws, unwinds and catches, so that exceptions find return addresses as they were."""

    def names(text: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        (resolved,) = resolve(text)
        assert isinstance(resolved.site, UprobeSite)
        for u in resolved.site.unwinders:
            owner = open_object(u.path)
            every = [*owner.elf.symbols(".symtab"), *owner.elf.symbols(".dynsym")]
            (name,) = {s.name.partition("@")[0] for s in every if s.section and owner.file_offset(s.value) == u.offset}
            assert u.catches == (name == "__cxa_begin_catch")
            found.setdefault(os.path.basename(u.path).partition(".")[0], []).append(name)
        return {path: sorted(held) for path, held in found.items()}

    unwinding = [f"_Unwind_{name}" for name in ("ForcedUnwind", "RaiseException", "Resume", "Resume_or_Rethrow")]
    shared = {"libgcc_s": unwinding, "libstdc++": ["__cxa_begin_catch"]}
    source = SOURCES / "throws.cpp"
    for name, flag in (("throws", "-g"), ("fixed", "-static")):
        subprocess.run(["gcc", flag, "-o", tmp_path / name, source, "-lstdc++"], check=True)
    assert names(f'process("{tmp_path}/throws").function("inner").return') == shared
    assert names(f'process("{tmp_path}/throws").function("inner")') == {}
    own = {"fixed": [*unwinding, "__cxa_begin_catch"]}
    assert names(f'process("{tmp_path}/fixed").function("inner").return') == own
    assert names(f'process("{made}/pie").function("leaf").return') == {}
    assert names('process("/lib/x86_64-linux-gnu/libc.so.6").function("qsort").return') == shared
    with pytest.raises(Unresolved, match="looks at its own return address"):
        resolve(f'process("{tmp_path}/fixed").function("_Unwind_RaiseException").return')
    every = [r.point for r in resolve(f'process("{tmp_path}/fixed").function("_Unwind*").return')]
    assert every
    assert not any(".cold" in point for point in every)


def test_what_unwinds_without_a_name_is_cautioned_of(tmp_path: Path) -> None:
    """A program with a stripped libgcc inside of it: nothing can be probed that would help its exceptions."""
    text = "int inner(int n) { if (n) throw n; return n; } int main() { try { return inner(1); } catch (int) {} }"
    (tmp_path / "hides.cpp").write_text(text)
    program = tmp_path / "hides"
    flags = ["-g", "-static-libgcc", "-static-libstdc++"]
    subprocess.run(["g++", *flags, "-o", program, tmp_path / "hides.cpp"], check=True)
    subprocess.run(["strip", "-K", "_Z5inneri", program], check=True)
    (found,) = resolve(f'process("{program}").function("_Z5inneri").return')
    assert found.caution.startswith(f"{program}: an exception that passes a call whose return is probed ends the prog")


def test_what_is_no_catch_is_cautioned_of(tmp_path: Path) -> None:
    source = tmp_path / "resumes.c"
    source.write_text("void _Unwind_Resume(void *); int f(int n) { return n; } int main() { _Unwind_Resume(0); }")
    subprocess.run(["gcc", "-o", tmp_path / "resumes", source, "-shared-libgcc"], check=True)
    (found,) = resolve(f'process("{tmp_path}/resumes").function("f").return')
    assert found.caution.startswith(f"{tmp_path}/resumes: calls in which an exception is thrown")


def test_what_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(Unresolved, match="CONFIG_UPROBES"):
        resolve(f'process("{made}/pie").function("leaf")', FakeTarget({"CONFIG_KPROBES": "y"}))
    (tmp_path / "text").write_text("no program")
    with pytest.raises(Unresolved, match="is not an ELF file"):
        resolve(f'process("{tmp_path}/text").function("f")')
    go = tmp_path / "go"
    command = ["objcopy", "--add-section", f".note.go.buildid={tmp_path}/text", made / "pie", go]
    subprocess.run(command, check=True)
    with pytest.raises(Unresolved, match="is a Go program"):
        resolve(f'process("{go}").function("leaf").return')
    assert resolve(f'process("{go}").function("leaf").call')
    narrow = bytearray((made / "pie").read_bytes())
    narrow[4] = 1
    (tmp_path / "narrow").write_bytes(narrow)
    with pytest.raises(Unresolved, match="is a 32-bit program: only 64-bit ones can be probed"):
        resolve(f'process("{tmp_path}/narrow").function("leaf")')


def test_processes(made: Path) -> None:
    """By program, by number, and the session's target."""
    (found,) = resolve(f'process("{made}/pie").begin')
    assert (found.site, found.point) == (ProcessSite("begin", str(made / "pie")), f'process("{made}/pie").begin')
    (found,) = resolve("process.syscall")
    assert found.site == ProcessSite("syscall")
    (found,) = resolve("process.thread.end", options=Options(command="ls"))
    assert found.site == ProcessSite("thread.end", targets=True)
    (found,) = resolve("process(1).syscall.return")
    assert found.site == ProcessSite("syscall.return", process=1)
    assert found.scope.names("vars") == ("syscall", "arg1", "arg2", "arg3", "arg4", "arg5", "arg6")
    with pytest.raises(Unresolved, match="No such process"):
        resolve("process(3999999).end")
    with pytest.raises(Unresolved, match="-c"):
        resolve('process.function("main")')


def test_the_program_of_the_command(made: Path) -> None:
    (found,) = resolve('process.function("leaf").call', options=Options(command=f"X=1 {made}/pie arg"))
    assert isinstance(found.site, UprobeSite)
    assert (found.site.path, found.site.targets) == (str(made / "pie"), True)
