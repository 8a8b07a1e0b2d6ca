"""Success-probability boundaries, and the figures of transitions."""

import types

import numpy as np
import pytest
import xarray

from jaxscale.phase.collapsing import collapse
from jaxscale.phase.success import success_boundary
from jaxscale.phase.transitions import transition
from jaxscale.study import Claim, Found

X = np.linspace(0, 1, 13)


def counts(at, trials=40, width=0.08, seed=0, x=X):
    rng, at = np.random.default_rng(seed), np.atleast_1d(at)
    k = rng.binomial(trials, 1 / (1 + np.exp(-np.clip((x[None, :] - at[:, None]) / width, -50, 50))))
    coords = {"size": np.arange(len(at)), "x": x}
    return xarray.DataArray(k, coords, ("size", "x")), xarray.DataArray(np.full(k.shape, trials), coords, ("size", "x"))


def test_bands_of_success_boundaries_cover():
    truth = np.tile([0.3, 0.5, 0.7], 60)
    found = success_boundary(*counts(truth), along="x")
    held = (found["low"].values < truth) & (truth < found["high"].values)
    assert 0.9 < held.mean() < 0.99
    assert found["slope"].mean() == pytest.approx(1 / 0.08, rel=0.1)


@pytest.mark.parametrize("scale, start", [(8.0, 2.0), (0.01, -0.3)])
def test_slope_and_position_have_the_units_of_the_control_parameter(scale, start):
    """The same counts on another axis: positions move with it, and the slope is one over its unit."""
    truth = np.tile([0.3, 0.5, 0.7], 20)
    plain = success_boundary(*counts(truth), along="x")
    found = success_boundary(*counts(start + scale * truth, width=0.08 * scale, x=start + scale * X), along="x")
    np.testing.assert_allclose(found["slope"], plain["slope"] / scale, rtol=1e-6)
    assert float(found["slope"].mean()) == pytest.approx(1 / (0.08 * scale), rel=0.1)
    for name in ("position", "low", "high"):
        np.testing.assert_allclose(found[name], start + scale * plain[name], rtol=1e-6, atol=1e-9)


def test_columns_without_a_boundary_have_none():
    k, n = counts([0.5, 0.5, 0.5])
    k[0], k[1], n[2], k[2] = 0, n[1], 0, 0
    found = success_boundary(k, n, along="x")
    assert np.isnan(found["position"].values).all() and np.isnan(found["low"].values).all()


def test_a_sharp_boundary_lies_between_its_neighbours():
    k, n = counts([0.52], width=1e-6)
    found = success_boundary(k.isel(size=0), n.isel(size=0), along="x")
    assert X[6] < float(found["position"]) < X[7]


def test_refusals():
    k, n = counts([0.5])
    with pytest.raises(ValueError, match="successes <= trials"):
        success_boundary(n + 1, n, along="x")
    with pytest.raises(ValueError, match="along='y' is no axis"):
        success_boundary(k, n, along="y")
    with pytest.raises(ValueError, match="must increase"):
        success_boundary(k.isel(x=slice(None, None, -1)), n.isel(x=slice(None, None, -1)), along="x")


def test_figures(tmp_path):
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    from jaxscale.plot import figures, judged, scaling

    rng, sizes, x = np.random.default_rng(0), np.array([16.0, 32, 64]), np.linspace(0.3, 0.7, 15)
    exact = 1 / (1 + np.exp(-0.8 * sizes[:, None] ** 0.75 * (x - 0.5)))
    data = xarray.DataArray(
        exact[..., None] + 0.05 * rng.normal(size=(3, 15, 40)), {"L": sizes, "x": x}, ("L", "x", "seed"), "p"
    )
    figure, axes = figures.new_axes(1, 2)
    scaling.collapse_pair(collapse(data, exponent=0, degree=6, starts=16, resamples=20, progress=False), axes=axes)
    assert "nu" in axes[1].get_xlabel() and len(axes[0].get_legend().get_texts()) == 3
    assert scaling.binder(transition(data)).get_ylabel() == "Binder cumulant"
    assert scaling.seeds(data, cells=[{"L": 16, "x": 0.4}, {"L": 64, "x": 0.5}]).get_xlabel() == "p"
    claims = [Claim(n, f"{n} is so", low, high, "eq. 1", kind="gate") for n, low, high in (("a", 0.9, 1.1), ("b", 2.0, np.inf))]
    study = types.SimpleNamespace(name="s", claims=claims, size=lambda scale: "4 seeds")
    report = types.SimpleNamespace(study=study, scale="smoke", found={"a": Found(1.02, 0.03), "b": Found(1.0)}, controls={})
    made = judged.forest(report)
    assert [t.get_text() for t in made.get_yticklabels()] == ["a is so", "b is so"]
    figure.savefig(tmp_path / "f.pdf")
    assert (tmp_path / "f.pdf").stat().st_size > 1000
