"""The documentation of the tapset library: every public function is told of, and the pages are well-formed."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pystap import docs, explain, paths
from pystap.diagnostics import StapError

TEXT = """\
// sums.stp: adding numbers up. Nothing else.

%{
/** hidden: is C's own. */
static int hidden(void) { return 1; }
%}

/**
 * total: returns a + b,
 * "<>" included.
 */
function total:long(a:long, b:long) { return a + b }
function bare:long() { return 1 }
private function mine() { return 1 }
function _own() { return 1 }

/** It begins. */
probe sum.begin = also.begin =
	begin
{
	name = "sum.begin"
	_hidden = 1
}
"""


def test_a_file_is_read() -> None:
    subject = docs.read(TEXT, "sums")
    assert subject.summary == "Adding numbers up. Nothing else."
    assert subject.entries == (
        docs.Entry("total", "function", "total:long(a:long, b:long)", 'Returns a + b, "<>" included.'),
        docs.Entry("bare", "function", "bare:long()", ""),
        docs.Entry("sum.begin", "probe", "sum.begin, also.begin", "It begins.", ("name",)),
    )


def test_what_is_not_told_of_is_found(tmp_path: Path) -> None:
    (tmp_path / "sums.stp").write_text(TEXT)
    (tmp_path / "more.stpm").write_text("@define uncommented %( 1 %)\n")
    assert docs.undocumented(tmp_path) == ["bare", "uncommented"]


def test_every_function_alias_and_macro_is_told_of() -> None:
    assert docs.undocumented(paths.tapsets()) == []


def test_texts_are_escaped() -> None:
    subject = docs.read(TEXT.replace("returns a + b", ".a\\n-b"), "sums")
    assert "&quot;&lt;&gt;&quot;" in docs.html_page(subject)
    assert "\n\\&.a\\en\\-b" in docs.man_page(subject)


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_all_pages(tmp_path: Path) -> None:
    count = docs.write(paths.tapsets(), tmp_path)
    pages = list((tmp_path / "html").glob("*.html"))
    assert count > 50
    assert len(pages) == count + 1
    for page in pages:
        balance = _Balance()
        balance.feed(page.read_text())
        assert not balance.open, page
    assert 'id="task_execname"' in (tmp_path / "html" / "linux.task.html").read_text()


def test_all_names_are_in_the_pages(tmp_path: Path) -> None:
    docs.write(paths.tapsets(), tmp_path)
    web = "".join(path.read_text() for path in (tmp_path / "html").iterdir())
    manual = "".join(path.read_text() for path in (tmp_path / "man").iterdir())
    here = Path(__file__).parent
    names = re.findall(r"^(\w+)\(", (here / "functions.txt").read_text(), re.MULTILINE)
    names += re.findall(r"^([\w.]+)(?=\t|$)", (here / "aliases.tsv").read_text(), re.MULTILINE)
    assert len(names) > 1400
    for pages in (web, manual):
        assert sorted(set(names) - set(re.findall(r"\w[\w.]*\w", pages))) == []


def test_man_takes_the_pages(tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    docs.write(paths.tapsets(), tmp_path)
    pages = sorted(str(path) for path in (tmp_path / "man").iterdir())
    assert len(pages) > 80
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", *pages]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not [line for line in done.stderr.splitlines() if "break" not in line], done.stderr


def test_every_option_has_its_place() -> None:
    page = docs.command_page().replace("\\-", "-")
    for option in ("-c CMD", "--vm[=RELEASE]", "-r RELEASE|PATH", "--doctor", "-A MODULE"):
        assert f".B {option}\n" in page
    assert page.count(".TP") >= 35


def test_every_family_of_points_is_named() -> None:
    page = docs.probes_page()
    for form in ("\nkernel.function(string).call\n", "\nprocess(string).mark(string)\n", "\ntimer.us(number)\n"):
        assert form in page


POINTED_TO = re.compile(r"\[man ((?:(?:error|warning)::)?[a-z]+[0-9]*)\]")


def test_every_page_that_a_message_points_to_is_there() -> None:
    sources = [p for p in paths.PACKAGE.rglob("*") if p.suffix in (".py", ".h", ".c", ".j2")]
    pointed = {name for p in sources for name in POINTED_TO.findall(p.read_text("utf-8"))}
    pointed |= {f"error::pass{number}" for number in range(1, 6)}
    assert pointed <= set(explain.names())


@pytest.mark.parametrize("name", explain.names())
def test_a_page_is_found_as_a_message_names_it(name: str) -> None:
    assert explain.page(f"[man {name}]").startswith(f"{name} - ")


def test_an_unknown_page_names_a_close_one() -> None:
    with pytest.raises(StapError, match=r"no page 'error::pas2'. Did you mean error::pass2\?"):
        explain.page("error::pas2")
