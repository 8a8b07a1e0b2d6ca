"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.report.document import page as page
from jaxscale.report.document import write_page as write_page

__all__ = [
    "page",
    "write_page",
]
