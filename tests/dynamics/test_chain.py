"""The population chain: its closed forms, and the stationary noise that theory gives it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

import jaxscale as js
from jaxscale.data.margin import along_teacher
from jaxscale.dynamics.chain import PopulationChain, _tail_quantile
from jaxscale.records import check
from jaxscale.theory.perceptron import first_step, stationary_noise, tail_constant, unfitted_fraction


@pytest.mark.parametrize("chi", [0, 1])
@pytest.mark.parametrize("ratio", [0.0, 0.6, 3.0])
def test_unfitted_fraction_is_the_share_of_points_on_the_wrong_side(chi, ratio):
    key_along, key_across = jax.random.split(jax.random.key(0))
    along, across = (
        np.asarray(along_teacher(key_along, 40_000, chi)),
        np.asarray(jax.random.normal(key_across, (40_000,))),
    )
    assert_mean(across > ratio * along, float(unfitted_fraction(jnp.float32(ratio), chi)), precision=0.003)


@pytest.mark.parametrize("chi", [0, 1, 0.5, 2])
def test_unfitted_fraction_has_its_tail_constant_and_falls(chi):
    ratio = jnp.geomspace(1e-2, 1e6, 100)
    fraction = np.asarray(unfitted_fraction(ratio, chi), np.float64)
    assert np.all(np.diff(fraction) < 0) and fraction[0] < 0.5
    np.testing.assert_allclose(fraction[-1] * 1e6 ** (1 + chi), tail_constant(chi), rtol=1e-4)


@pytest.mark.parametrize("chi", [0, 1, 0.5, 2])
def test_tail_quantile_inverts_the_unfitted_fraction(chi):
    ratio = jnp.geomspace(0.1, 1e4, 60)
    np.testing.assert_allclose(_tail_quantile(unfitted_fraction(ratio, chi), chi), ratio, rtol=2e-4)


@pytest.mark.parametrize("chi", [0, 1])
def test_noise_is_stationary_where_theory_puts_it(chi):
    """Its mean over updates is exact once the signal is large: the drift of |v_perp|^2 vanishes there."""
    system = PopulationChain(d=8, points=1e30, temperature=2.0, chi=chi)

    @jax.jit
    @jax.vmap
    def run(key):
        start = system.init(key, ())._replace(signal=jnp.array(1e4))

        def step(state, t):
            state = system.step(jax.random.fold_in(key, t), state, ())
            return state, state.noise

        return jax.lax.scan(step, start, jnp.arange(200))[1][60:].mean()

    means = run(jax.random.split(jax.random.key(0), 400))
    expected = 2.0 * stationary_noise(8, chi)
    assert_mean(means, expected, precision=0.01 * expected)


@pytest.mark.parametrize("chi", [0, 1])
def test_first_update_moves_along_the_teacher_by_the_mean_input(chi):
    system = PopulationChain(d=8, points=100.0, temperature=2.0, chi=chi)
    states = jax.jit(jax.vmap(lambda key: system.init(key, ())))(jax.random.split(jax.random.key(0), 4000))
    assert_mean(states.signal, 2 * first_step(8, chi), precision=0.01)
    assert_mean(states.noise**2, 4 * 7 / 8, precision=0.05)


def test_it_stops_when_less_than_one_wrong_point_is_expected_and_stays_there():
    system = PopulationChain(d=8, points=50.0)
    step, init = jax.jit(system.step), system.init(jax.random.key(0), ())
    for ratio in (0.1, 3.0, 4.0, 100.0):
        state = init._replace(signal=jnp.float32(ratio), noise=jnp.float32(1.0))
        stopped = bool(system.stopped(state, ()))
        assert stopped == (50 * float(unfitted_fraction(jnp.float32(ratio), 1)) < 1)
        after = step(jax.random.key(1), state, ())
        assert stopped == (after.signal == state.signal) == (after.log_steps == state.log_steps)


@pytest.mark.parametrize("chi", [0, 1])
@pytest.mark.parametrize("ratio", [0.5, 4.0, 30.0])
def test_the_clock_counts_the_idle_steps_before_a_wrong_point(chi, ratio):
    """A wrong point comes in a share n of the steps, so 1 / n of them pass on average; the first update took one step."""
    system = PopulationChain(d=8, points=1e30, chi=chi)
    start = system.init(jax.random.key(0), ())
    assert system.observe(start, ())["steps"] == 1
    state = start._replace(signal=jnp.float32(ratio), noise=jnp.float32(1.0))
    idle = 1 / float(unfitted_fraction(jnp.float32(ratio), chi))
    after = jax.jit(system.step)(jax.random.key(1), state, ())
    assert float(system.observe(after, ())["steps"]) == pytest.approx(1 + idle, rel=1e-5)


@pytest.mark.parametrize("options", [{"d": 2}, {"points": 1.0}, {"temperature": 0.0}, {"chi": -1.0}])
def test_refusals(options):
    with pytest.raises(ValueError, match="PopulationChain"):
        check(PopulationChain(**{"d": 8, "points": 10.0} | options))


def test_lambda_grows_with_the_power_of_any_chi():
    """lambda at P ~ P^(1 / (1 + chi)): slopes of 64 seeds between P = 100 and 1000, at chi .5 and 2."""
    for chi in (0.5, 2.0):
        runs = js.sweep(
            lambda points, chi=chi: PopulationChain(d=32, points=points, chi=chi), grid={"points": [100.0, 1000.0]}, seeds=64,
            times=[0, 8000], progress=False,
        )  # fmt: skip
        last = runs.isel(time=-1)
        assert float(last["stopped"].min()) == 1
        mean, error = (np.asarray(v) for v in (last["lambda"].mean("seed"), last["lambda"].std("seed", ddof=1) / 8))
        slope, noise = np.log10(mean[1] / mean[0]), np.hypot(*(error / mean)) / np.log(10)
        assert abs(slope - 1 / (1 + chi)) < 4 * noise + 0.02 and noise < 0.03


@pytest.mark.parametrize("chi", [0, 0.5, 1, 3])
def test_a_draw_of_zero_is_no_point_at_infinity(monkeypatch, chi):
    """One draw in 2^23 is 0: runs of many updates met it, and became NaN."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape=(), **_: jnp.zeros(shape))
    system = PopulationChain(d=8, points=1e9, chi=chi)
    state = system.step(jax.random.key(1), system.init(jax.random.key(0), ())._replace(signal=jnp.array(1e3)), ())
    assert all(bool(jnp.isfinite(leaf)) for leaf in state)
