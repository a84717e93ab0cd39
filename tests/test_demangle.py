"""Names from mangled symbols: C++, Rust's two manglings, clones."""

from __future__ import annotations

import pytest

from pystap.debuginfo.demangle import demangle, fits

NAMES = {
    "_ZN2ns5Klass6methodEi": "ns::Klass::method",
    "_ZN2ns5Klass6methodEi.cold": "ns::Klass::method",
    "_ZN2ns5twiceIiEET_S1_": "ns::twice<int>",
    "_ZN1r6shapes2Sq4area17hcbe3bd638f2f3428E": "r::shapes::Sq::area",
    "_RNvMNtCs6GmmlP4bgsG_1r6shapesNtB2_2Sq4area": "r::shapes::Sq::area",
    "_RINvCs6GmmlP4bgsG_1r5twicemEB2_": "r::twice<u32>",
}


def test_demangle() -> None:
    assert demangle([*NAMES, "main", "_Znot", "_start"]) == NAMES


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("method", True),
        ("Klass::method", True),
        ("*::m*", True),
        ("other::method", False),
        ("a::ns::Klass::method", False),
    ],
)
def test_fits(pattern: str, wanted: bool) -> None:
    assert fits("ns::Klass::method", pattern) is wanted
