"""What studies measure, on runs that are made up or taken apart by hand."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
import xarray

from jaxscale.data.facts import FactConflict
from jaxscale.studies import factual_recall, induction_head, loss_spikes
from jaxscale.study import MET, NOT_MET, UNDECIDED

TIMES = np.arange(0, 1601, 20)


def verdict(study, found, name):
    (claim,) = [claim for claim in study.claims if claim.name == name]
    return claim.verdict(found.get(name))


def circuit(previous, copying):
    """Runs that are all solved at step 800, and whose scores are as given, (time,)."""
    dims, shape = ("clamp", "seed", "heads", "time"), (3, 4, 1, len(TIMES))
    parts = {"error": np.where(TIMES > 800, 0.0, 0.5), "previous_score": previous, "induction_score": copying}
    seeds = 1 + 1e-3 * np.arange(4)[:, None, None]  # that are not all alike
    parts = {name: (dims, np.broadcast_to(part, shape) * seeds) for name, part in parts.items()}
    return {"circuit": xarray.Dataset(parts, {"clamp": [0, 1, 2], "seed": range(4), "heads": [4], "time": TIMES})}


def rise(at, end):
    return np.where(at < TIMES, end, 0.3)


@pytest.mark.parametrize(
    "previous, copying, wanted",
    [
        (rise(600, 0.6), rise(640, 0.7), MET),
        (rise(600, 0.6), rise(1400, 0.6), NOT_MET),  # late
        (rise(600, 0.1), rise(600, 0.6), NOT_MET),  # one falls
        (rise(600, 0.1), rise(600, 0.1), NOT_MET),  # both do, together
        (rise(600, 0.6), rise(600, np.nan), NOT_MET),
        (rise(600, np.nan), rise(600, np.nan), NOT_MET),
    ],
)
def test_scores_rise_together_if_both_rise(previous, copying, wanted):
    found = induction_head.measure(circuit(previous, copying))
    assert verdict(induction_head.STUDY, found, "joint") == wanted


def spiking(plain, shrunk):
    """Flat noisy losses with so many spikes in each of four seeds, without the shrink and with it."""
    times = np.arange(0, 5001, 5)
    loss = 2 + 1e-3 * np.random.default_rng(0).normal(size=(1, 2, 4, len(times)))  # rate, shrink, seed, time
    loss[:, :, :, 0] = 4.0
    for shrink, counts in enumerate((plain, shrunk)):
        for seed, count in enumerate(counts):
            loss[0, shrink, seed, 100 : 100 + 40 * count : 40] = 4.0
    coords = {"learning_rate": [0.1], "shrink": [1.0, 0.1], "seed": range(4), "time": times}
    return {"model": xarray.Dataset({"loss": (("learning_rate", "shrink", "seed", "time"), loss)}, coords)}


@pytest.mark.parametrize(
    "plain, shrunk, calmed",
    [
        ((9, 8, 9, 9), (2, 3, 2, 3), MET),  # fewer
        ((2, 3, 2, 3), (9, 8, 9, 9), NOT_MET),  # more of them
        ((2, 3, 2, 3), (2, 2, 3, 3), UNDECIDED),
        ((2, 20, 2, 3), (3, 2, 2, 20), UNDECIDED),  # too much scatter to tell
        ((3, 3, 3, 3), (3, 3, 3, 3), UNDECIDED),  # alike: their scatter is not known
    ],
)
def test_spikes_that_are_planted_are_counted(plain, shrunk, calmed):
    found = loss_spikes.measure(spiking(plain, shrunk))
    records = 1001 - 11 - loss_spikes.WINDOW  # after the warm-up, and a window to look back on
    assert found["spikes"].value == pytest.approx(np.mean(plain) / records)
    assert verdict(loss_spikes.STUDY, found, "calmed") == calmed


def test_what_a_head_says_for_either_answer_and_turning_it_round():
    """Attribution in numpy, head by head; a tap multiplies the values of one head and no other's."""
    model = factual_recall.conflict(0.0, 0.0, entities=8).model
    data = jax.jit(model.sample)(jax.random.key(0))
    params = jax.jit(model.init)(jax.random.key(1), data)
    prompts = factual_recall.misleading_prompts(model.world, data.frozen, 0)
    tokens, of_context, of_memory = (np.asarray(part) for part in prompts)
    sites = jax.jit(model.apply)(params, tokens)[1]
    readout = np.asarray(params["final_norm"]["scale"])[:, None] * np.asarray(params["readout"]["kernel"])
    towards = (readout[:, of_context] - readout[:, of_memory]).T
    wanted = []
    for layer, head in np.ndindex(2, 4):
        out = np.asarray(params[f"layer{layer}_mixer"]["out"]["kernel"])[8 * head : 8 * head + 8]
        wanted.append(np.mean(np.sum((np.asarray(sites[f"layer{layer}/heads"])[:, -1, head] @ out) * towards, axis=1)))
    found = jax.jit(lambda params: factual_recall.attribution(model, params, prompts))(params)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    tapped = jax.jit(model.apply)(params, tokens, factual_recall.scaled_head(5, -2.0))[1]
    for layer, head in np.ndindex(2, 4):
        if layer == 0 or head == 1:
            before, after = (np.asarray(s[f"layer{layer}/heads"])[:, :, head] for s in (sites, tapped))
            np.testing.assert_allclose(after, before * (1 if layer == 0 else -2), rtol=1e-4, atol=1e-6)


def test_the_memorys_head_is_turned_and_the_contexts_made_louder(monkeypatch):
    """Which of the heads each factor is put to: a network that answers with the taps it was given."""
    world, asked = FactConflict(entities=8, attributes=32), []

    def apply(params, tokens, taps=None):
        asked.append(np.concatenate([np.ravel(taps[f"layer{i}/heads"].scale) for i in (0, 1)]) if taps else None)
        return np.zeros((len(tokens), 3, world.vocabulary)), {}

    monkeypatch.setattr(factual_recall, "attribution", lambda *_: np.array([0.0, 3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    model, data = SimpleNamespace(world=world, apply=apply), SimpleNamespace(frozen=np.arange(8))
    factual_recall.groups(model, None, data, None, None)
    turned, louder = (scale for scale in asked if scale is not None)
    np.testing.assert_array_equal(turned, [1, 1, factual_recall.TURNED, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(louder, [1, factual_recall.LOUDER, 1, 1, 1, 1, 1, 1])
