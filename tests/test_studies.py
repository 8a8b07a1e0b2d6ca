"""Every study found runs at smoke scale, and judges itself honestly."""

import json
import math

import numpy as np
import pytest
import xarray

from jaxscale.discovery import discover
from jaxscale.engine.ask.request import Request
from jaxscale.study import MET, NOT_MET, NOT_TESTED, Claim, Found, Study, run_study

STUDIES = discover("jaxscale.studies", "STUDY")


def test_the_studies_are_found():
    assert set(STUDIES) >= {"sgd_noise", "overparameterised_sensing"}


def by_cost():
    """Every study: one with the default tests, the others among the slow ones; the quick ones with every version too."""
    for name, study in STUDIES.items():
        marks = [pytest.mark.smoke] * study.quick + [pytest.mark.slow] * (name != "in_context_regression")
        yield pytest.param(name, marks=marks)


@pytest.mark.usefixtures("corpora")
@pytest.mark.parametrize("name", by_cost())
def test_study_at_smoke_scale(name, tmp_path):
    study = STUDIES[name]
    report = run_study(study, "smoke", out=tmp_path, progress=False)
    verdicts = report.verdicts
    assert set(verdicts) == {claim.name for claim in study.claims}
    assert MET in verdicts.values()
    assert NOT_MET not in verdicts.values(), str(report)
    assert report.figures and all(path.stat().st_size > 5000 for path in report.figures)
    claims = json.loads((tmp_path / "smoke-claims.json").read_text())
    assert [c["verdict"] for c in claims["claims"]] == [verdicts[c["name"]] for c in claims["claims"]]
    again = run_study(study, "smoke", out=tmp_path, draw=False, progress=False)
    assert all(runs.attrs["runs_computed"] == 0 for runs in again.runs.values())
    assert again.found == report.found


@pytest.mark.usefixtures("corpora")
@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("scale", ["laptop", "accelerator"])
def test_every_scale_is_a_valid_request(name, scale):
    for experiment, arguments in STUDIES[name].at(scale).items():
        request = Request.make(STUDIES[name].experiments[experiment], **arguments)
        assert request.grid.lanes_per_bucket > 0


def test_verdicts():
    claim = Claim("slope", "slope is -2", -2.05, -1.95, "here")
    assert claim.verdict(Found(-2.0)) == MET
    assert claim.verdict(Found(-1.9)) == NOT_MET
    assert claim.verdict(Found(math.nan)) == NOT_MET
    assert claim.verdict(None) == NOT_TESTED


def test_a_number_over_seeds_keeps_what_is_missing():
    assert str(Found.over([1.0, 2.0, 3.0])) == "2.00 ± 0.58"
    assert Claim("slope", "", 0, 9, "here").verdict(Found.over([1.0, math.nan])) == NOT_MET
    assert Claim("slope", "", 0, 9, "here").verdict(Found.over([])) == NOT_MET and Found.over([4.0]) == Found(4.0)


def test_runs_that_diverge_at_the_edge_meet_nothing():
    study = STUDIES["edge_of_stability"]
    arguments = study.at("laptop")["descent"]
    times, rates = np.asarray(arguments["times"]), np.asarray(arguments["grid"]["learning_rate"])
    dims, shape = ("learning_rate", "seed", "p", "width", "time"), (len(rates), 4, 1, 1, len(times))
    loss = np.broadcast_to(np.exp(-times / 5000), shape).copy()
    loss[..., 1::2] *= 1.001  # it rises at every second step
    sharpness = np.broadcast_to(2.0 / rates[:, None, None, None, None], shape).copy()
    sharpness[0] = np.linspace(5, 30, len(times))
    loss[0] = np.exp(-times / 5000)
    coords = {"learning_rate": rates, "seed": range(4), "p": [200], "width": [64], "time": times}

    def verdicts():
        runs = xarray.Dataset({"loss": (dims, loss), "sharpness": (dims, sharpness)}, coords)
        found = study.measure({"descent": runs})
        return {claim.name: claim.verdict(found[claim.name]) for claim in study.claims}

    assert set(verdicts().values()) == {MET}
    loss[2, 1, ..., 30:], sharpness[2, 1, ..., 30:] = np.nan, np.nan  # one run
    assert {name for name, v in verdicts().items() if v == NOT_MET} == {"edge", "falls", "edge_up"}


@pytest.mark.parametrize("last", [300, 1600])
def test_an_induction_head_that_never_forms_meets_nothing_in_a_long_run(last):
    """In a short one nothing is asked of it."""
    study, times = STUDIES["induction_head"], np.arange(0, last + 1, 20)
    dims, shape = ("clamp", "seed", "heads", "time"), (3, 4, 1, len(times))
    error = np.full(shape, 0.5)
    error[2] = np.where(times > 100, 0.0, 0.5)
    coords = {"clamp": [0, 1, 2], "seed": range(4), "heads": [4], "time": times}
    scores = {name: (dims, np.zeros(shape)) for name in ("previous_score", "induction_score")}
    found = study.measure({"circuit": xarray.Dataset({"error": (dims, error)} | scores, coords)})
    verdicts = {claim.name: claim.verdict(found.get(claim.name)) for claim in study.claims}
    assert verdicts.pop("solved_clamped") == MET
    assert set(verdicts.values()) == {NOT_MET if last > 1000 else NOT_TESTED} and len(verdicts) == 5


def test_unknown_scale_is_named():
    with pytest.raises(ValueError, match="no scale 'paper'; choose from"):
        STUDIES["sgd_noise"].at("paper")


def test_found_prints_with_its_error():
    assert str(Found(0.4993, 0.0007)) == "0.49930 ± 0.00070"
    assert np.isclose(Found(1.5).value, 1.5) and str(Found(1.5)) == "1.5"


@pytest.mark.parametrize("diverging", [False, True])
def test_a_run_that_diverged_fails_the_claims(diverging):
    """Unless the study says that it counts them."""
    runs = xarray.Dataset({"loss": ("seed", [1.0, np.nan]), "diverged_at": ("seed", [-1, 3])})
    study = Study(
        name="one", question="", paper="", experiments={}, scales={}, draw=None, diverging=diverging,
        measure=lambda runs: {"loss": Found(float(runs["all"]["loss"].mean())), "other": Found(2.0)},
        claims=(Claim("loss", "the loss is small", 0, 2, "here"),),
    )  # fmt: skip
    found = study.judged({"all": runs})
    assert study.claims[0].verdict(found["loss"]) == (MET if diverging else NOT_MET) and found["other"] == Found(2.0)
    assert diverging or "1 runs of all diverged" in found["loss"].note
