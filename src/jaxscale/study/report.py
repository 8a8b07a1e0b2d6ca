"""What a study found, to print and to keep."""

import dataclasses
import json
import math
import textwrap
from pathlib import Path
from typing import Any

from jaxscale.study.claims import KINDS, NOT_MET, Claim
from jaxscale.study.definition import Study
from jaxscale.study.found import Found

TITLES = {"paper": "the paper says", "derived": "derived", "gate": "preconditions"}


@dataclasses.dataclass(frozen=True)
class Report:
    """What a study found. Print it.

    Attributes:
      study: the study.
      scale: "smoke", "laptop" or "accelerator".
      runs: {experiment: Dataset}.
      found: {name: Found}.
      controls: {claim: verdict under its control}.
      figures: files.
      seconds: that this call took.
      spent: seconds of all calls that simulated.
    """

    study: Study
    scale: str
    runs: dict[str, Any]
    found: dict[str, Found]
    controls: dict[str, str]
    figures: tuple[Path, ...]
    seconds: float
    spent: float

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of every claim, {claim name: verdict}."""
        return self.study.verdicts(self.found)

    def __str__(self) -> str:
        study = self.study
        lines = [
            f"{study.name}: {study.question}", f"  {study.paper}",
            f"  {self.scale} scale: {study.size(self.scale)}; {self.seconds:.0f} s", "",
        ]  # fmt: skip
        for kind in KINDS:
            claims = [claim for claim in study.claims if claim.kind == kind]
            if claims:
                lines += [f"  {TITLES[kind]}", *(line for claim in claims for line in self._claim(claim)), ""]
        claimed = {claim.name for claim in study.claims}
        if rest := {name: found for name, found in self.found.items() if name not in claimed}:
            lines += ["  without a claim", *(f"    {name}: {found}" for name, found in rest.items()), ""]
        if NOT_MET in self.verdicts.values():
            lines += [f"  {NOT_MET} holds for {study.world}, at {study.size(self.scale)}.", ""]
        return "\n".join([*lines, *(f"  figure: {path}" for path in self.figures)])

    def _claim(self, claim: Claim) -> list[str]:
        """Return the lines of one claim: verdict, words, range; what was found; what its control says."""
        found, control = self.found.get(claim.name), self.controls.get(claim.name)
        says = textwrap.wrap(f"{claim.says} ({claim.where})", 76)
        lines = [f"    {self.verdicts[claim.name]:<15}  {says[0]}", *(f"{'':21}{line}" for line in says[1:])]
        if found is not None:
            text = f"claimed {claim.range}; found {found}" + (f"; {claim.null}: {control}" if control else "")
            lines += textwrap.wrap(text, 92, initial_indent=" " * 21, subsequent_indent=" " * 23, break_long_words=False)
        return lines

    def record(self) -> dict[str, Any]:
        """Return claims and measurements as plain JSON: no NaN, no infinities."""
        claims = [
            {**dataclasses.asdict(claim), "verdict": self.verdicts[claim.name], "control": self.controls.get(claim.name)}
            for claim in self.study.claims
        ]
        found = {name: dataclasses.asdict(one) for name, one in self.found.items()}
        head = {"study": self.study.name, "scale": self.scale, "seconds": round(self.spent, 1)}
        return finite(head | {"claims": claims, "found": found})

    def json(self) -> str:
        """Machine-readable claims and measurements."""
        return json.dumps(self.record(), indent=1)


def finite(value: Any) -> Any:
    """Return plain JSON with infinities as words and NaN as null, which readers in every language know."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value
