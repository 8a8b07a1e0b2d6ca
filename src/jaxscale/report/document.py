"""The page: a template, a plotting library and the numbers in one file, that asks nothing of any network."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jaxscale.engine.store.files import write_atomic
from jaxscale.report.payload import experiment, fit_facts


def page(
    runs: Mapping[str, Any], *, title: str, claims: Sequence[Mapping[str, Any]] = (), found: Mapping[str, str] | None = None,
    fits: Sequence[Any] = (),
) -> str:  # fmt: skip
    """Return the HTML of one or several sweeps.

    Args:
      runs: {name: Dataset}.
      title: of the page.
      claims: {"says", "range", "found", "verdict", "where"} of a study's claims.
      found: {name: text} of further measurements.
      fits: `jaxscale.fit` results.

    Raises:
      ModuleNotFoundError: plotly is missing; the message has the pip line.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reports need plotly, which is missing: pip install 'jaxscale[report]'") from error
    if not runs:
        raise ValueError("there is nothing to report: no runs.")
    data = {
        "title": title, "experiments": [experiment(name, dataset) for name, dataset in runs.items()], "claims": list(claims),
        "found": dict(found or {}), "fits": [fit_facts(fit) for fit in fits],
    }  # fmt: skip
    template = _part("page.html")
    for mark, text in (("/*STYLE*/", _part("page.css")), ("/*LIBRARY*/", get_plotlyjs()), ("/*SCRIPT*/", _part("page.js")),
                       ("/*DATA*/", _safe(json.dumps(data, allow_nan=False)))):  # fmt: skip
        template = template.replace(mark, text, 1)
    return template


def write_page(path: Path, html: str) -> Path:
    """Write the page to `path`, whole or not at all, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, html.encode())
    return path


def _safe(text):
    """JSON that cannot end the element it stands in: labels are untrusted."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _part(name):
    return resources.files("jaxscale.report").joinpath(name).read_text(encoding="utf-8")
