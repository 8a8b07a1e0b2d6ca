"""Rules against plain optax and closed forms; schedules, gradients, what the wrapper remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxscale as js
from jaxscale.discovery import discover
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.gradients import NOISE, Noisy, Plain, RmsNormalised, Sam
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.rules.lion import Lion
from jaxscale.dynamics.rules.momentum import Momentum, gsnr
from jaxscale.dynamics.schedules import CONSTANT, Schedule
from jaxscale.dynamics.tracked import Tracked
from jaxscale.models.perceptron import TeacherStudent
from jaxscale.records import check

PARAMS = {"w": jax.random.normal(jax.random.key(0), (6, 4)), "b": jnp.arange(4.0), "one": jnp.array([0.3])}
GRADS = [jax.tree.map(lambda p, i=i: jax.random.normal(jax.random.key(i), p.shape), PARAMS) for i in range(1, 6)]


def run(optimizer):
    params, memory = PARAMS, optimizer.init(PARAMS)
    for grads in GRADS:
        updates, memory = optimizer.update(grads, memory, params)
        params = optax.apply_updates(params, updates)
    return params


def matrices(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


@pytest.mark.parametrize(
    "rule, expected",
    [
        (AdamW(b1=0.8, b2=0.9), lambda rate: optax.adam(rate, b1=0.8, b2=0.9)),
        (AdamW(decay=0.3), lambda rate: optax.adamw(rate, b2=0.95, weight_decay=0.3, mask=matrices)),
        (AdamW(decay=0.3, peak=0.1), lambda rate: optax.adamw(rate, b2=0.95, weight_decay=0.3 / 0.1, mask=matrices)),
        (Lion(decay=0.2), lambda rate: optax.lion(rate, weight_decay=0.2)),
        (Lion(b1=0.5, b2=0.8), lambda rate: optax.lion(rate, b1=0.5, b2=0.8, weight_decay=0.0)),
    ],
    ids=["adam", "coupled decay", "independent decay", "lion", "another lion"],
)
def test_rules_are_optaxs(rule, expected):
    schedule = Schedule(shape="cosine", steps=5.0, warmup=2.0)
    found, wanted = (run(o) for o in (rule.optimizer(lambda t: 0.1 * schedule(t)), expected(lambda t: 0.1 * schedule(t))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, wanted)


def test_momentum_by_hand():
    found = run(Momentum(beta=0.5, decay=0.1).optimizer(lambda t: 0.2))
    params, m = PARAMS, None
    for grads in GRADS:
        m = grads if m is None else jax.tree.map(lambda m, g: 0.5 * m + 0.5 * g, m, grads)
        params = jax.tree.map(lambda p, m: p - 0.2 * (m + 0.1 * p), params, m)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, params)


def test_signal_to_noise_of_gradients():
    """g-SNR^2 = (N - 1) + N mean^2 / s^2."""
    for n, mean in ((100, 0.0), (5000, 0.01), (1000, 0.5)):
        g = mean + jax.random.normal(jax.random.key(n), (n,))
        s2 = float(jnp.var(g, ddof=1))
        assert float(gsnr(g)) == pytest.approx(np.sqrt(n - 1 + n * float(jnp.mean(g)) ** 2 / s2), rel=1e-4)
        assert float(gsnr(g)) >= np.sqrt(n - 1) * (1 - 1e-6)


def test_sai_scales_once_and_its_mend():
    optimizer = Momentum(scale="gsnr").optimizer(lambda t: 1.0)
    memory = optimizer.init(PARAMS)
    _, memory = optimizer.update(GRADS[0], memory, PARAMS)
    first = memory.scale
    _, memory = optimizer.update(GRADS[1], memory, PARAMS)
    jax.tree.map(np.testing.assert_array_equal, memory.scale, first)
    assert float(first["w"]) == pytest.approx(float(gsnr(GRADS[0]["w"])))
    zero = jax.tree.map(jnp.zeros_like, GRADS[0])
    frozen, mended = (
        Momentum(scale="gsnr", mend=mend).optimizer(lambda t: 1.0).update(zero, optimizer.init(PARAMS), PARAMS)[1].scale
        for mend in (False, True)
    )
    assert float(frozen["w"]) == 0 and float(mended["w"]) == pytest.approx(24**0.5) and float(mended["one"]) == 1


@pytest.mark.parametrize("scale", ["gsnr", "root size"])
def test_sai_by_hand(scale):
    """theta <- theta - rate (scale m + decay theta), m_1 = g_1, m <- .9 m + .1 g; g-SNR of g_1 or sqrt(numel) per tensor."""
    found = run(Momentum(scale=scale, decay=0.2).optimizer(lambda t: 0.1))
    for name in ("w", "b"):
        g = [np.asarray(grads[name], np.float64) for grads in GRADS]
        ratio = np.linalg.norm(g[0]) / g[0].std(ddof=1) if scale == "gsnr" else g[0].size ** 0.5
        wanted, m = np.asarray(PARAMS[name], np.float64), g[0]
        for i, one in enumerate(g):
            m = 0.9 * m + 0.1 * one if i else m
            wanted = wanted - 0.1 * (ratio * m + 0.2 * wanted)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)


def test_schedules():
    t = jnp.arange(101.0)
    cosine = jax.vmap(Schedule(shape="cosine", steps=100.0, warmup=10.0, floor=0.1))(t)
    wanted = optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 100, 0.1)
    np.testing.assert_allclose(cosine[10:], jax.vmap(wanted)(t[10:]), atol=1e-6)
    np.testing.assert_allclose(cosine[:10], (t[:10] + 1) / 10)
    wsd = jax.vmap(Schedule(shape="wsd", steps=100.0, cooldown=0.2))(t)
    np.testing.assert_allclose(wsd[np.array([0, 80, 90, 100])], [1, 1, 0.5, 0], atol=1e-5)
    two = jax.vmap(Schedule(shape="two-stage", steps=100.0, floor=0.3))(t)
    np.testing.assert_allclose(two[np.array([79, 80, 81, 100])], [1, 1, 0.3, 0.3], atol=1e-5)
    assert np.all(jax.vmap(CONSTANT)(t) == 1)
    traced = jax.jit(lambda warmup, steps: jax.vmap(Schedule(shape="cosine", steps=steps, warmup=warmup, floor=0.1))(t))
    np.testing.assert_allclose(traced(10.0, 100.0), cosine, atol=1e-6)
    for shape in ("wsd", "two-stage"):
        with pytest.raises(ValueError, match="must end before the cooldown begins, at step 20; got 30"):
            check(Schedule(shape=shape, steps=100.0, warmup=30.0, cooldown=0.8))


def loss(w, key):
    return jnp.sum(w**4) / 4 + 0.0 * jax.random.normal(key)


def test_gradients():
    w, key = jnp.array([1.0, -2.0, 0.5]), jax.random.key(0)
    plain = Plain()(loss, w, key)
    np.testing.assert_allclose(plain, w**3, rtol=1e-6)
    assert float(jnp.linalg.norm(Plain(clip=1.0)(loss, w, key))) == pytest.approx(1.0)
    np.testing.assert_allclose(Sam(rho=0.0)(loss, w, key), plain, rtol=1e-6)
    step = 0.1 * plain / jnp.linalg.norm(plain)
    np.testing.assert_allclose(Sam(rho=0.1)(loss, w, key), (w + step) ** 3, rtol=1e-5)
    assert float(jnp.sqrt(jnp.mean(RmsNormalised()(loss, w, key) ** 2))) == pytest.approx(1.0, rel=1e-5)
    noise = jax.vmap(lambda k: Noisy(sigma=2.0)(loss, w, k) - plain)(jax.random.split(key, 4000))
    assert abs(float(jnp.std(noise)) - 2.0) < 0.05 and abs(float(jnp.mean(noise))) < 0.1


@pytest.mark.parametrize(
    "gradient, message", [(Sam(rho=-1.0), "Sam.rho .* got -1.0"), (Noisy(sigma=-1.0), "Noisy.sigma .* got -1.0")]
)
def test_a_gradients_size_is_checked(gradient, message):
    with pytest.raises(ValueError, match=message):
        check(gradient)


def test_every_tensor_has_its_own_root_mean_square():
    found = RmsNormalised()(
        lambda w, key: jnp.sum(w["a"]) * 3 + jnp.sum(w["b"] ** 2), {"a": jnp.ones(4), "b": jnp.arange(3.0)}, 0
    )
    np.testing.assert_allclose(found["a"], 1, rtol=1e-5)
    np.testing.assert_allclose(found["b"], np.arange(3) / np.sqrt(5 / 3), rtol=1e-5)


def test_noise_on_the_gradient_is_none_of_the_batchs():
    """What a loss draws from its key's first thousand streams has nothing of the noise in it."""

    def loss(w, key):
        return w @ jnp.stack([jax.random.normal(one) for one in jax.random.split(key, 1000)[:8]])

    def pair(key):
        drawn = jax.vmap(jax.random.normal)(jax.random.split(key, 1000)[:8])
        return drawn, Noisy(sigma=1.0)(loss, jnp.ones(8), key) - drawn

    drawn, noise = jax.vmap(pair)(jax.random.split(jax.random.key(3), 2000))
    correlation = np.corrcoef(np.asarray(drawn).T, np.asarray(noise).T)[:8, 8:]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(2000)
    streams = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(3), 1000)))
    own = np.asarray(jax.random.key_data(jax.random.fold_in(jax.random.key(3), NOISE)))
    assert not np.any(np.all(streams == own, axis=1))


def test_training_with_adam_is_descent_by_optax_adam():
    model = TeacherStudent(d=6, alpha=3.0)
    ours = Descent(model=model, learning_rate=0.05, rule=AdamW(b2=0.999))
    theirs = js.Descent(model=model, learning_rate=0.05, rule=optax.adam)
    a, b = (js.simulate(system, jax.random.key(1), [0, 5, 50]) for system in (ours, theirs))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


def test_the_wrapper_remembers_the_start():
    system = Tracked(Descent(model=TeacherStudent(d=6, alpha=3.0), learning_rate=0.05, rule=AdamW()))
    found = js.simulate(system, jax.random.key(1), [0, 1, 50])
    assert found["distance"][0] == 0 and 0 < found["distance"][1] < found["distance"][2]


def test_rules_are_found_and_checked():
    assert set(discover("jaxscale.dynamics.rules", "RULE")) == {"adamw", "lion", "momentum"}
    refusals = {
        "0 <= b1, b2 < 1": AdamW(b1=1.0), "0 <= beta < 1": Momentum(beta=1.0), "'one', 'gsnr'": Momentum(scale="two"),
        "Lion needs": Lion(b1=2.0), "Schedule.shape": Schedule(shape="step"), "shorter than": Schedule(shape="wsd", warmup=9.0),
        "learning_rate must be positive": Descent(model=TeacherStudent(d=4, alpha=1.0), learning_rate=0.0, rule=AdamW()),
    }  # fmt: skip
    for message, thing in refusals.items():
        with pytest.raises(ValueError, match=message):
            check(thing)
    with pytest.raises(TypeError, match=r"and not optax.adam\(0.1\)"):
        check(Descent(model=TeacherStudent(d=4, alpha=1.0), learning_rate=0.1, rule=optax.adam(0.1)))
