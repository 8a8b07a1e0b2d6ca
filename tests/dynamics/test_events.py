"""Event-driven SGD has the law of step-by-step SGD, which is simulated here in numpy on the same points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean
from scipy.special import comb
from scipy.stats import hypergeom

from jaxscale.dynamics.events import PerceptronEvents, _add
from jaxscale.models.perceptron import Perceptron
from jaxscale.records import check, replace

P, D, SEEDS, TEMPERATURE = 12, 3, 2000, 0.7
MODEL = Perceptron(d=D, alpha=P / D, alpha_max=5.0, chi=1.0)  # three rows are out of use
SYSTEM = PerceptronEvents(model=MODEL, temperature=TEMPERATURE)
POINTS = MODEL.sample(jax.random.key(3))  # one set of points, so that only the batches are random


@pytest.fixture(scope="module")
def events():
    """(batch, single) -> observables of SEEDS finished runs."""

    def run(batch, single):
        def one(key, batch):
            system = replace(SYSTEM, batch=batch, single=single)
            data = system.sample(jax.random.key(3))
            start = (jnp.int32(0), system.init(key, data))

            def step(carry):
                t, state = carry
                return t + 1, system.step(jax.random.fold_in(key, t), state, data)

            t, last = jax.lax.while_loop(lambda c: ~system.stopped(c[1], data) & (c[0] < 20_000), step, start)
            return system.observe(last, data)

        return jax.vmap(one, in_axes=(0, None))

    programs = {single: jax.jit(run(None, single)) for single in (False, True)}
    keys = jax.random.split(jax.random.key(0), SEEDS)
    return lambda batch, single=False: {k: np.asarray(v) for k, v in programs[single](keys, 1 if single else batch).items()}


def steps_by_steps(batch, seeds=SEEDS):
    """Plain SGD: every step a fresh batch without replacement, until every point is fitted."""
    rng = np.random.default_rng(batch)
    x = np.asarray(POINTS.inputs)[:P]
    v = np.zeros((seeds, D), np.float32)
    steps, events = np.zeros(seeds), np.zeros(seeds)
    counts = np.zeros(P + 1)
    while True:
        short = v @ x.T < 1
        counts += np.bincount(short.sum(1), minlength=P + 1)
        open_ = short.any(axis=1)
        if not open_.any():
            return {"steps": steps, "events": events, "norm": np.linalg.norm(v, axis=1)}, counts
        chosen = np.argsort(rng.random((seeds, P)), axis=1)[:, :batch]
        hit = np.zeros((seeds, P), bool)
        np.put_along_axis(hit, chosen, True, axis=1)
        hit &= short
        v += np.float32(TEMPERATURE) * (hit @ x)
        steps += open_
        events += hit.any(axis=1)


@pytest.mark.parametrize("batch, single", [(1, False), (1, True), (3, False), (12, False)])
def test_exact_in_law(events, batch, single):
    found = events(batch, single)
    expected, counts = steps_by_steps(batch)
    assert found["stopped"].all() and np.all(found["unfitted"] == 0)
    hits = -np.expm1(np.asarray(replace(SYSTEM, batch=batch).sample(jax.random.key(3)).log_miss))[: P + 1]
    if batch < P and not single:  # both ways of drawing are in use
        assert counts[1:][hits[1:] < 0.5].sum() > SEEDS and counts[1:][hits[1:] >= 0.5].sum() > SEEDS
    for name in ("steps", "events", "norm"):
        a, b = found[name].astype(np.float64), expected[name]
        if batch == P:  # nothing is random
            np.testing.assert_allclose(a, b, rtol=1e-5)
            continue
        assert_mean(a - b, 0, precision=0.04 * b.mean())
        assert_mean(np.log(a) - np.log(b), 0, precision=0.04)
        assert_mean((a / b.mean()) ** 2 - (b / b.mean()) ** 2, 0, precision=0.3)  # waiting times have the right spread


def test_training_time_is_learning_rate_times_steps(events):
    found = events(3)
    np.testing.assert_allclose(found["training_time"], found["steps"] * 3 * TEMPERATURE, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 12])
def test_chance_of_a_miss_is_hypergeometric(batch):
    log_miss = np.asarray(replace(SYSTEM, batch=batch).sample(jax.random.key(3)).log_miss)
    n = np.arange(P + 1)
    np.testing.assert_allclose(np.exp(log_miss[: P + 1]), comb(P - n, batch) / comb(P, batch), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("unfitted", [1, 2, 6, 12])
def test_one_event_draws_the_waiting_time_and_the_members_of_a_batch_of_three(unfitted):
    """Inputs are unit vectors here, so v shows the batch. 1 and 2 unfitted of 12 are rare, 6 and 12 are common."""
    system = replace(SYSTEM, batch=3)
    data = system.sample(jax.random.key(3))
    data = data._replace(points=data.points._replace(inputs=jnp.eye(15)))
    start = system.init(jax.random.key(0), data)
    start = start._replace(v=jnp.zeros(15), margins=jnp.where(jnp.arange(15) < unfitted, 0.0, 2.0))
    step = jax.jit(jax.vmap(lambda key: system.step(key, start, data)))
    found = jax.tree.map(np.asarray, step(jax.random.split(jax.random.key(1), 8000)))

    accepted = found.clock.sum(axis=1) > 0
    steps, members = found.clock[accepted].sum(axis=1), found.v[accepted] / TEMPERATURE
    assert np.all(members[:, unfitted:] == 0)
    k = members.sum(axis=1).round()
    assert np.array_equal(found.events[accepted], k > 0)
    law = hypergeom(P, unfitted, 3)
    miss = law.pmf(0)
    if miss > 0.5:  # waits for a hit
        assert_mean(steps, 1 / (1 - miss), precision=0.06)
        assert_mean(steps == 1, 1 - miss, precision=0.01)
    else:
        assert np.all(steps == 1) and accepted.all()
        miss = 0.0
    for count in range(1, 4):
        expected = law.pmf(count) / (1 - miss)
        if 0 < expected < 1:
            assert_mean(k == count, expected, precision=0.01)
    if 1 < unfitted < P:  # no point is preferred
        assert_mean(members[:, 0], law.mean() / unfitted / (1 - miss), precision=0.01)


def test_a_finished_run_does_not_move():
    data = SYSTEM.sample(jax.random.key(3))
    state = SYSTEM.init(jax.random.key(0), data)
    fitted = state._replace(margins=jnp.full_like(state.margins, 2.0), v=jnp.ones(D), clock=jnp.array([5.0, 0.0]))
    step = jax.jit(SYSTEM.step)
    for key in jax.random.split(jax.random.key(1), 3):
        after = step(key, fitted, data)
        assert after.clock.tolist() == [5, 0] and after.events == 0 and after.v.tolist() == [1, 1, 1]


def test_the_clock_counts_single_steps_beyond_float32():
    start = jnp.array([2.0**24, 0.0])
    clock = jax.jit(lambda c: jax.lax.fori_loop(0, 1001, lambda i, c: _add(c, jnp.float32(1)), c))(start)
    assert np.asarray(clock, np.float64).sum() == 2**24 + 1001
    clock = jax.jit(lambda c: jax.lax.fori_loop(0, 1000, lambda i, c: _add(c, jnp.float32(3)), c))(jnp.array([1e9, 0.0]))
    assert np.asarray(clock, np.float64).sum() == 1e9 + 3000


@pytest.mark.parametrize(
    "options, message",
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"batch": 13}, r"batch must be a whole number in 1\.\.P=12; got 13"),
        ({"batch": 2.5}, "batch must be a whole number"),
        ({"batch": 2, "single": True}, "single is the shortcut for batch=1; got batch=2"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        check(replace(SYSTEM, **options))
