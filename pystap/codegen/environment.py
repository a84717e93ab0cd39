"""The Jinja environment of the templates: strict, and with the few filters that spell values in C."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from pystap import paths
from pystap.codegen import names

if TYPE_CHECKING:
    import jinja2


@cache
def environment() -> jinja2.Environment:
    """The one environment; jinja2 is imported when the first template is rendered."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters["c_string"] = lambda text: "NULL" if text is None else names.c_string(text)
    made.filters["c_ident"] = names.identifier
    made.filters["c_comment"] = names.c_comment
    made.filters["c_number"] = names.c_number
    made.filters["hex"] = lambda number: f"{number:#x}"
    made.filters["bool"] = lambda value: "true" if value else "false"
    made.filters["distinct"] = _distinct
    return made


def _distinct(rows: Iterable[Any], name: str) -> list[Any]:
    """What the sites of an engine's rows hold between them in a field that is a tuple."""
    return list(dict.fromkeys(value for held in dict.fromkeys(getattr(r.site, name) for r in rows) for value in held))


def render(template: str, **values: Any) -> str:
    """A template's text."""
    return environment().get_template(template).render(**values)
