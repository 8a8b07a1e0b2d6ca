"""Groups of a table's rows are fitted as each alone would be."""

import numpy as np
import pytest

from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.groups import fit_groups
from jaxscale.fitting.laws import power
from jaxscale.fitting.result import FitError


def table(tmp_path=None):
    rng, columns = np.random.default_rng(0), {"task": [], "rule": [], "n": [], "loss": []}
    for task, exponent in (("copy", 0.3), ("sort", 0.6)):
        for rule in (1, 2):
            for n in np.geomspace(10, 1e4, 12):
                columns["task"].append(task)
                columns["rule"].append(rule)
                columns["n"].append(float(n))
                columns["loss"].append(float(3 * n**-exponent * np.exp(0.02 * rng.normal())))
    columns["task"] += ["rare", "rare"]
    for name, value in (("rule", 1), ("n", 5.0), ("loss", 1.0)):
        columns[name] += [value, value]
    return columns


def test_every_group_is_fitted_as_alone(tmp_path):
    columns = table()
    groups = fit_groups(power, columns, x="n", y="loss", by=("task", "rule"))
    rows = [i for i, (task, rule) in enumerate(zip(columns["task"], columns["rule"])) if task == "sort" and rule == 2]
    alone = fit(power, {k: [v[i] for i in rows] for k, v in columns.items()}, x="n", y="loss", progress=False)
    one = groups.sel(task="sort", rule=2)
    assert one["exponent"] == alone["exponent"] and one.status == alone.status
    data = groups.dataset()
    assert data["exponent"].dims == ("task", "rule")
    assert float(data["exponent"].sel(task="copy", rule="1")) == pytest.approx(0.3, abs=0.05)
    assert float(data["exponent_low"].sel(task="sort", rule="2")) == one["exponent"].low
    assert data["status"].sel(task="rare", rule="1") == "failed" and data["status"].sel(task="rare", rule="2") == "missing"
    assert "task = copy, rule = 1: " in str(groups) and "task = rare, rule = 1: " in str(groups)
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values()))]))
    assert fit_groups(power, path, x="n", y="loss", by="task").sel(task="copy").values


def test_groups_that_are_none_are_named():
    groups = fit_groups(power, table(), x="n", y="loss", by=("task", "rule"))
    with pytest.raises(KeyError, match="no group task = tell"):
        groups.sel(task="tell", rule=1)
    with pytest.raises(KeyError, match="named by"):
        groups.sel(task="copy")
    with pytest.raises(FitError, match="task = rare"):
        groups.sel(task="rare", rule=1)
    with pytest.raises(FitError, match="no column 'tusk'"):
        fit_groups(power, table(), x="n", y="loss", by="tusk")
    few = {k: v[-2:] for k, v in table().items()}
    with pytest.raises(FitError, match="no group can be fitted; task = rare"):
        fit_groups(power, few, x="n", y="loss", by="task")
