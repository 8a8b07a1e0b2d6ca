"""What a study is: a question put to a simulation, and a judgement. One file in `studies/` holds one, called `STUDY`."""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from jaxscale.engine.ask.options import Again, Inner
from jaxscale.engine.forecast.planning import Plan, plan
from jaxscale.engine.store.files import write_atomic
from jaxscale.engine.sweeping import sweep

MET, NOT_MET, NOT_TESTED = "met", "not met", "not tested at this scale"


@dataclasses.dataclass(frozen=True)
class Found:
    """A measured number with its standard error."""

    value: float
    error: float = 0.0
    note: str = ""

    @classmethod
    def over(cls, values: Any, note: str = "") -> "Found":
        """Mean of independent values and its standard error; NaN, which meets no claim, if one of them is."""
        values = np.ravel(values)
        error = float(values.std(ddof=1) / values.size**0.5) if values.size > 1 and np.isfinite(values).all() else 0.0
        return cls(float(values.mean()) if values.size else math.nan, error, note)

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        if not self.error:
            return f"{self.value:.4g}{note}"
        digits = max(0, min(8, 1 - math.floor(math.log10(self.error))))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}{note}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A number to meet.

    Attributes:
      name: key of the measurement.
      says: the claim in words.
      low: smallest value that meets it.
      high: largest.
      where: place in the paper, or "derived".
    """

    name: str
    says: str
    low: float
    high: float
    where: str

    def verdict(self, found: Found | None) -> str:
        """met, not met, or not tested at this scale. A NaN is not met."""
        if found is None:
            return NOT_TESTED
        return MET if self.low <= found.value <= self.high else NOT_MET


@dataclasses.dataclass(frozen=True)
class Study:
    """One paper, one question.

    Attributes:
      name: as in the file name.
      question: what is asked.
      paper: the reference.
      experiments: {name: function of the axes giving a system}.
      scales: {"smoke" | "laptop" | "accelerator": {experiment name: arguments of `sweep`}}.
      measure: {experiment name: Dataset} -> {name: Found}; a name left out is not tested at this scale. What no claim
        names is reported without a verdict.
      draw: ({experiment name: Dataset}, measured) -> {figure name: matplotlib figure}.
      claims: numbers to meet.
      quick: its smoke scale takes a few seconds, compiling included, so that it is run with every test and every version.
      diverging: runs may diverge, and `measure` counts those that do. Where they may not, one that does fails every claim:
        means and maxima that leave it out would be of the runs that went well.
    """

    name: str
    question: str
    paper: str
    experiments: Mapping[str, Any]
    scales: Mapping[str, Mapping[str, Mapping[str, Any]]]
    measure: Callable[[Mapping[str, Any]], dict[str, Found]]
    draw: Callable[[Mapping[str, Any], dict[str, Found]], dict[str, Any]]
    claims: tuple[Claim, ...]
    quick: bool = False
    diverging: bool = False

    def judged(self, runs: Mapping[str, Any]) -> dict[str, Found]:
        """What was measured; not a number, with the reason, where runs diverged that must not."""
        found = self.measure(runs)
        gone = {name: int((r["diverged_at"] >= 0).sum()) for name, r in runs.items() if "diverged_at" in r}
        why = ", ".join(f"{count} runs of {name} diverged" for name, count in gone.items() if count)
        claimed = {claim.name for claim in self.claims} if why and not self.diverging else set()
        return {name: Found(math.nan, note=f"{why}; {f}") if name in claimed else f for name, f in found.items()}

    def plan(self, scale: str) -> dict[str, Plan]:
        """The plan of every sweep at a scale."""
        return {name: plan(self.experiments[name], **arguments) for name, arguments in self.at(scale).items()}

    def at(self, scale: str) -> Mapping[str, Mapping[str, Any]]:
        """The sweeps of a scale.

        Raises:
          ValueError: unknown scale.
        """
        if scale not in self.scales:
            raise ValueError(f"study '{self.name}' has no scale '{scale}'; choose from {list(self.scales)}.")
        return self.scales[scale]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a study found. Print it."""

    study: Study
    scale: str
    runs: dict[str, Any]
    found: dict[str, Found]
    figures: tuple[Path, ...]
    seconds: float

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of every claim, {claim name: verdict}."""
        return {claim.name: claim.verdict(self.found.get(claim.name)) for claim in self.study.claims}

    def __str__(self) -> str:
        lines = [
            f"{self.study.name}: {self.study.question}",
            f"  {self.study.paper}",
            f"  scale {self.scale}, {self.seconds:.0f} s",
            "",
        ]
        rows = [("claimed", "range", "found", "verdict")]
        for claim in self.study.claims:
            found = self.found.get(claim.name)
            rows.append((claim.says, describe_range(claim), str(found) if found else "-", claim.verdict(found)))
        claimed = {claim.name for claim in self.study.claims}
        rows += [(name, "-", str(found), "no claim") for name, found in self.found.items() if name not in claimed]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        lines += ["", *(f"  figure: {path}" for path in self.figures)]
        return "\n".join(lines)

    def json(self) -> str:
        """Machine-readable claims and measurements."""
        claims = [
            {"name": c.name, "says": c.says, "low": c.low, "high": c.high, "where": c.where, "verdict": self.verdicts[c.name]}
            for c in self.study.claims
        ]
        found = {name: {"value": f.value, "error": f.error, "note": f.note} for name, f in self.found.items()}
        return json.dumps({"study": self.study.name, "scale": self.scale, "claims": claims, "found": found}, indent=1)


def run_study(
    study: Study, scale: str, *, out: str | Path | None = None, draw: bool = True, progress: bool = True,
    **how: Unpack[Inner],
) -> Report:
    """Simulate, measure, judge and draw.

    Args:
      study: what to run.
      scale: "smoke" (seconds), "laptop" (minutes) or "accelerator".
      out: folder for stores, figures and claims.json; running again resumes. None keeps everything in memory and
        draws nothing.
      draw: write the figures; needs the `plot` extra.
      progress: show bars.
      **how: further arguments of `jaxscale.sweep` on how to run: executor, listeners, profile, ...
    """
    began = time.perf_counter()
    folder = Path(out) if out is not None else None
    runs = run_sweeps(study, scale, out=out, progress=progress, **how)
    found = study.judged(runs)
    figures = []
    if folder and draw:
        for name, figure in study.draw(runs, found).items():
            path = folder / f"{scale}-{name}.png"
            figure.savefig(path, dpi=150, bbox_inches="tight")
            figures.append(path)
    report = Report(study, scale, runs, found, tuple(figures), time.perf_counter() - began)
    if folder:
        write_atomic(folder / f"{scale}-claims.json", report.json().encode())
    return report


def run_sweeps(
    study: Study, scale: str, *, out: str | Path | None = None, **how: Unpack[Again]
) -> dict[str, Any]:
    """Simulate only: {experiment name: Dataset}.

    Args:
      study: what to run.
      scale: as for `run_study`.
      out: folder for stores; None for memory.
      **how: further arguments of `jaxscale.sweep`, e.g. part=(i, n) to compute a part of every sweep.
    """
    stores = {name: Path(out) / f"{scale}-{name}" if out is not None else None for name in study.experiments}
    return {
        name: sweep(study.experiments[name], **arguments, store=stores[name], **how)
        for name, arguments in study.at(scale).items()
    }


def describe_range(claim: Claim) -> str:
    """The range of a claim, in words."""
    if math.isinf(claim.high):
        return f">= {claim.low:.4g}"
    return f"<= {claim.high:.4g}" if math.isinf(claim.low) else f"{claim.low:.4g} .. {claim.high:.4g}"
