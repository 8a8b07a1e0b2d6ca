"""One self-contained HTML page of a run or a study, with the numbers inside. Needs the `report` extra.

`write_page` writes the file, `page` returns its text; `payload` picks the numbers that go in.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "page": "jaxscale.report.document",
    "write_page": "jaxscale.report.document",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
