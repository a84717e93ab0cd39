"""runtime/regex.h, compiled for userspace under sanitizers, agrees with the tables' meaning in Python."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import paths
from pystap.codegen.environment import render
from pystap.elaborate.regex import compile_pattern
from pystap.ir.nodes import Dfa
from tests.elaborate.test_regex import random_pattern, search

_SHIM = """
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32;
#define noinline __attribute__((noinline))
#define MAXSTRINGLEN 512
enum { STAP_MATCHES = 32 };
struct stap_context { u8 matched; struct { u32 start, end; } match[STAP_MATCHES]; char match_text[MAXSTRINGLEN]; };
#include "regex.h"
"""
_MAIN = """
int main(void)
{
	static struct stap_context c;
	char line[MAXSTRINGLEN + 2];
	unsigned int k, g;

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\\n")] = 0;
		for (k = 0; k < sizeof(all) / sizeof(*all); k++) {
			printf("%d", stap_regex_match(&c, plain[k], line));
			if (!stap_regex_match(&c, all[k], line)) {
				puts(" -");
				continue;
			}
			if (strcmp(c.match_text, line))
				return 1;
			for (g = 0; g < c.matched; g++)
				printf(" %d,%d", (int)c.match[g].start, (int)c.match[g].end);
			puts("");
		}
	}
	return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_runner(tmp_path: Path) -> None:
    rng = random.Random(11)
    patterns = [rng.choice(["", "^"]) + random_pattern(rng, 4) + rng.choice(["", "$"]) for _ in range(40)]
    tables = [compile_pattern(p, groups) for groups in (True, False) for p in patterns]
    parts = [_SHIM, *(render("regex.h.j2", index=k, dfa=Dfa(t.pattern, t), table=t) for k, t in enumerate(tables))]
    for name, first in (("all", 0), ("plain", len(patterns))):
        rows = ", ".join(f"&stap_regex_{first + k}" for k in range(len(patterns)))
        parts.append(f"static const struct stap_regex *const {name}[] = {{ {rows} }};")
    source, program = tmp_path / "t.c", tmp_path / "t"
    source.write_text("\n".join([*parts, _MAIN]))
    flags = ["-std=gnu11", "-O1", "-Wall", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *flags, "-iquote", str(paths.runtime()), str(source), "-o", str(program)], check=True)
    texts = ["", "a" * 511, *("".join(rng.choice("abcd") for _ in range(rng.randrange(12))) for _ in range(60))]
    done = subprocess.run([str(program)], input="\n".join(texts), capture_output=True, text=True, check=True)
    expected = [_line(tables[k], tables[k + len(patterns)], t) for t in texts for k in range(len(patterns))]
    assert done.stdout.splitlines() == expected


def _line(tagged, plain, text: str) -> str:  # type: ignore[no-untyped-def]
    found = search(tagged, text.encode())
    shown = "-" if found is None else " ".join("-1,-1" if g is None else f"{g[0]},{g[1]}" for g in found)
    return f"{int(search(plain, text.encode()) is not None)} {shown}"
