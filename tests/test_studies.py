"""Every study found runs at smoke scale, and judges itself honestly."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import xarray

from jaxscale.discovery import discover
from jaxscale.engine.ask.request import Request
from jaxscale.study import MET, NOT_MET, NOT_TESTED, UNDECIDED, Claim, Found, Study, controls, run_study
from jaxscale.study.gallery import kept

STUDIES = discover("jaxscale.studies", "STUDY")
GALLERY = Path(__file__).parent.parent / "docs" / "gallery"


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
    """It judges most of its claims, agrees with the gallery, and finds nothing where there is nothing to find."""
    study = STUDIES[name]
    report = run_study(study, "smoke", out=tmp_path, progress=False)
    verdicts = report.verdicts
    assert set(verdicts) == {claim.name for claim in study.claims}
    assert sum(verdict != NOT_TESTED for verdict in verdicts.values()) >= len(verdicts) / 2, str(report)
    at_laptop = {claim["name"]: claim["verdict"] for claim in (kept(GALLERY, name) or {"claims": []})["claims"]}
    turned = {n: (v, at_laptop.get(n)) for n, v in verdicts.items() if {v, at_laptop.get(n)} == {MET, NOT_MET}}
    assert not turned, f"smoke and gallery contradict each other: {turned}\n{report}"
    assert set(report.controls) == {claim.name for claim in study.claims if claim.kind != "gate"}
    fooled = {name: control for name, control in report.controls.items() if control == MET}
    assert not fooled, f"met where there is nothing to find: {sorted(fooled)}\n{report}"
    assert report.figures and all(path.stat().st_size > 5000 for path in report.figures)
    claims = json.loads((tmp_path / "smoke-claims.json").read_text())
    assert [c["verdict"] for c in claims["claims"]] == [verdicts[c["name"]] for c in claims["claims"]]
    again = run_study(study, "smoke", out=tmp_path, draw=False, controls=False, progress=False)
    assert all(runs.attrs["runs_computed"] == 0 for runs in again.runs.values())
    assert str(again.found) == str(report.found) and again.spent == pytest.approx(report.spent, abs=0.1)


@pytest.mark.usefixtures("corpora")
@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("scale", ["laptop", "accelerator"])
def test_every_scale_is_a_valid_request(name, scale):
    for experiment, arguments in STUDIES[name].at(scale).items():
        request = Request.make(STUDIES[name].experiments[experiment], **arguments)
        assert request.grid.lanes_per_bucket > 0


CLAIM = Claim("slope", "slope is -2", -2.05, -1.95, "here", kind="gate")


@pytest.mark.parametrize(
    "found, wanted",
    [
        (None, NOT_TESTED),
        (Found(-2.0, 0.01), MET),
        (Found(-2.0, 0.03), UNDECIDED),  # the interval reaches over an end
        (Found(-2.0, 0.01, freedom=1), UNDECIDED),  # two seeds
        (Found(-1.9, 0.01), NOT_MET),
        (Found(-1.9, 0.1), UNDECIDED),
        (Found(-2.0), UNDECIDED),  # no error known
        (Found.exact(-2.0), MET),
        (Found.exact(-1.9), NOT_MET),
        (Found.exact(np.float32(-1.95) + 1e-7), MET),  # an end, but for rounding
        (Found(math.nan), NOT_MET),
        (Found(-2.0, 0.01, status="weak"), UNDECIDED),
        (Found(-1.0, 0.01, status="failed"), UNDECIDED),
        (Found(-2.0, 0.5, low=-2.04, high=-1.96), MET),
        (Found(-2.0, low=-math.inf, high=-1.96), UNDECIDED),
        (Found.every({"a": Found(-2.0, 0.01), "b": Found(-2.0, 0.01)}), MET),
        (Found.every({"a": Found(-2.0, 0.01), "b": Found(-1.0, 0.01)}), NOT_MET),
        (Found.every({"a": Found(-2.0, 0.01), "b": Found(-2.0, 0.5)}), UNDECIDED),
        (Found.every({"a": Found(-2.0, 0.022), "b": Found(-2.0, 0.022)}), MET),
        (Found.every({str(i): Found(-2.0, 0.022) for i in range(20)}), UNDECIDED),  # twenty hold together less surely
        (Found.every({str(i): Found(-2.0, 0.022, low=-2.044, high=-1.956) for i in range(20)}), UNDECIDED),
    ],
)  # fmt: skip
def test_a_verdict_is_of_the_whole_interval(found, wanted):
    assert CLAIM.verdict(found) == wanted


def test_claims_name_what_they_lack():
    with pytest.raises(ValueError, match="claim 'a' of kind 'paper' needs null="):
        Claim("a", "", 0, 1, "here")
    with pytest.raises(ValueError, match="kind must be one of"):
        Claim("a", "", 0, 1, "here", kind="guess", null="noise")
    with pytest.raises(ValueError, match="low must not exceed high"):
        Claim("a", "", 1, 0, "here", kind="gate")
    one = STUDIES["hash_encoders"]
    for claims, message in (
        ((CLAIM,), "at least one claim must be of kind 'paper'"),
        ((one.claims[0], one.claims[0]), "stand twice"),
        ((dataclasses.replace(one.claims[0], null="luck"),), "no control 'luck'"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(one, claims=claims)


def test_a_number_over_seeds_keeps_what_is_missing():
    assert str(Found.over([1.0, 2.0, 3.0])) == "2.0 [-0.5, 4.5]"
    assert CLAIM.verdict(Found.over([1.0, math.nan])) == CLAIM.verdict(Found.over([])) == NOT_MET
    assert CLAIM.verdict(Found.over([-2.0])) == UNDECIDED  # one seed has no error
    assert CLAIM.verdict(Found.over([-2.0, -2.0, -2.0])) == UNDECIDED  # nor have seeds that are all alike


@pytest.mark.parametrize(
    "made",
    [
        lambda rng: Found.over(rng.normal(1, 2, 5)),
        lambda rng: Found.median(rng.exponential(1 / np.log(2), 9)),
        lambda rng: Found.share(int((rng.random(12) < 0.9).sum()), 12) / 0.9,
        lambda rng: Found.jackknife(lambda x: float(np.exp(np.log(x).mean())), np.exp(rng.normal(0, 0.5, 12))),
        lambda rng: Found.over(rng.normal(3, 1, 6)) - Found.over(rng.normal(2, 1, 6)),
        lambda rng: Found.over(np.exp(rng.normal(0, 0.05, 8)) * np.e).log,
    ],
)  # fmt: skip
def test_intervals_hold_their_truth(made):
    """All have 1 as their truth; exact intervals of counts and ranks hold more."""
    rng, ends = np.random.default_rng(11), []
    for _ in range(600):
        ends.append(made(rng).interval())
    held = np.mean([low <= 1 <= high for low, high in ends])
    assert 0.95 - 3 * 0.009 < held <= 1.0


def test_intervals_of_several_hold_together():
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        parts = Found.every({str(i): Found.over(rng.normal(size=6)) for i in range(8)}).parts
        held += all(low <= 0 <= high for low, high in (part.interval(8) for part in parts.values()))
    assert abs(held / 400 - 0.95) < 3 * (0.05 * 0.95 / 400) ** 0.5


def test_controls_take_away_what_they_say():
    dims = ("x", "seed", "time")
    coords = {"x": [1.0, 2.0], "seed": range(4), "time": [0, 1, 2]}
    runs = {"all": xarray.Dataset({"y": (dims, np.arange(24.0).reshape(2, 4, 3))}, coords)}
    y = runs["all"]["y"]
    dealt = controls.scrambled()(runs)["all"]["y"]
    assert not dealt.equals(y) and sorted(dealt.values.ravel()) == sorted(y.values.ravel()) and dealt.dims == dims
    along = controls.shuffled("time")(runs)["all"]["y"]
    assert not along.equals(y) and np.array_equal(along.sum("time"), y.sum("time"))
    assert np.array_equal(controls.untrained(runs)["all"]["y"].isel(time=2), y.isel(time=0))
    off = controls.switched_off("x", 1.9)(runs)["all"]["y"]
    for i in (0, 1):  # other seeds, the same runs
        assert np.array_equal(np.sort(off.isel(x=i), axis=0), np.sort(y.isel(x=1), axis=0))
    assert np.array_equal(off["x"], y["x"])
    assert controls.instead({"all": "other"})({**runs, "other": 3})["all"] == 3


def test_runs_that_diverge_at_the_edge_meet_nothing():
    study = STUDIES["edge_of_stability"]
    arguments = study.at("laptop")["descent"]
    times, rates = np.asarray(arguments["times"]), np.asarray(arguments["grid"]["learning_rate"])
    dims, shape = ("learning_rate", "seed", "p", "width", "time"), (len(rates), 8, 1, 1, len(times))
    loss = np.broadcast_to(np.exp(-times / 5000), shape).copy()
    for seed in range(8):  # it rises at every second step, but for a few
        loss[:, seed, ..., 1 : len(times) - seed : 2] *= 1.001
    loss *= np.exp(-1e-6 * np.arange(8)[:, None, None, None] * times)
    sharpness = np.broadcast_to(2.0 / rates[:, None, None, None, None], shape).copy()
    sharpness *= 1 + 1e-3 * np.arange(8)[:, None, None, None]
    sharpness[0] = np.linspace(5, 30, len(times)) ** (1 + 1e-3 * np.arange(8)[:, None, None, None])
    loss[0] = np.exp(-times / 5000)
    coords = {"learning_rate": rates, "seed": range(8), "p": [200], "width": [64], "time": times}

    def verdicts():
        runs = xarray.Dataset({"loss": (dims, loss), "sharpness": (dims, sharpness)}, coords)
        found = study.measure({"descent": runs})
        return study.verdicts(found)

    assert set(verdicts().values()) == {MET}
    loss[2, 1, ..., 30:], sharpness[2, 1, ..., 30:] = np.nan, np.nan  # one run
    assert {name for name, v in verdicts().items() if v == NOT_MET} == {"edge", "falls", "edge_up"}


@pytest.mark.parametrize("last", [300, 1600])
def test_an_induction_head_that_never_forms_meets_nothing_in_a_long_run(last):
    """In a short one nothing is asked of it."""
    study, times = STUDIES["induction_head"], np.arange(0, last + 1, 20)
    dims, shape = ("clamp", "seed", "heads", "time"), (3, 8, 1, len(times))
    error = np.full(shape, 0.5)
    error[2] = np.where(times > 100, 0.0, 0.5)
    coords = {"clamp": [0, 1, 2], "seed": range(8), "heads": [4], "time": times}
    noise = 1e-3 * np.random.default_rng(0).normal(size=shape)
    scores = {name: (dims, noise) for name in ("previous_score", "induction_score")}
    found = study.measure({"circuit": xarray.Dataset({"error": (dims, error)} | scores, coords)})
    verdicts = study.verdicts(found)
    assert verdicts["solved_clamped"] == verdicts["induction_first"] == MET  # clamped, it did form
    asked = ("previous_first", "plateau", "scores", "joint", "solved")
    assert {verdicts[name] for name in asked} == {NOT_MET if last > 1000 else NOT_TESTED}


def test_unknown_scale_is_named():
    with pytest.raises(ValueError, match="no scale 'paper'; choose from"):
        STUDIES["sgd_noise"].at("paper")


def test_found_prints_with_its_interval():
    assert str(Found(0.4993, 0.0007)) == "0.4993 [0.4979, 0.5007]"
    assert str(Found.exact(1.5, "all runs")) == "1.5 (all runs)"
    assert str(Found.every({"a": Found.exact(1.0), "b": Found.exact(2.0)}, "both")) == "a 1, b 2 (both)"
    assert str(Found.median([3.0, math.inf])) == "inf [-inf, inf]"


@pytest.mark.parametrize("diverging", [False, True])
def test_a_run_that_diverged_fails_the_claims(diverging):
    """Unless the study says that it counts them."""
    runs = xarray.Dataset({"loss": ("seed", [1.0, np.nan]), "diverged_at": ("seed", [-1, 3])})
    study = Study(
        name="one", question="", paper="", experiments={}, scales={}, draw=None, diverging=diverging,
        measure=lambda runs: {"loss": Found.exact(float(runs["all"]["loss"].mean())), "other": Found.exact(2.0)},
        world="", claims=(Claim("loss", "the loss is small", 0, 2, "here", null="noise"),), controls={"noise": dict},
    )  # fmt: skip
    found = study.judged({"all": runs})
    assert study.claims[0].verdict(found["loss"]) == (MET if diverging else NOT_MET) and found["other"] == Found.exact(2.0)
    assert diverging or "1 runs of all diverged" in found["loss"].note


def test_a_slope_weighs_its_points_and_keeps_what_is_missing():
    x, rng = np.array([0.0, 1.0, 2.0, 5.0]), np.random.default_rng(4)
    error = np.array([0.1, 0.4, 0.1, 0.2])
    made = [Found.slope(x, [Found(1 + 2 * a + e * rng.normal(), e) for a, e in zip(x, error)]) for _ in range(400)]
    held = [one.interval()[0] <= 2 <= one.interval()[1] for one in made]
    assert abs(np.mean(held) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400)
    assert np.isclose(np.std([one.value for one in made]), made[0].error, rtol=0.15)
    weak = [Found(1.0, 0.1), Found(2.0, 0.1, status="not established"), Found(3.0, 0.1)]
    assert Found.slope([0, 1, 2], weak).status == "not established"
    assert Claim("slope", "rises", 0.5, 2, "here", kind="gate").verdict(Found.slope([0, 1, 2], weak)) != MET
