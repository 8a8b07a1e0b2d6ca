"""The landscape on the way: against dense Hessians, differences of parameters, and the plain system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.watched import Watched, by_role
from jaxscale.models.language import model as language_model
from jaxscale.models.perceptron import TeacherStudent
from jaxscale.simulation import simulate

LANGUAGE = language_model.TINY()

KEY = jax.random.key(0)
STUDENT = Descent(model=TeacherStudent(d=6, alpha=3.0, alpha_max=4.0), learning_rate=0.02, rule=AdamW())


def after(system, steps):
    """Data and state after some steps."""

    return _run(system, steps)


@jax.jit
def _run(system, steps):
    data = system.sample(KEY)
    state = system.init(jax.random.key(1), data)
    return data, jax.lax.fori_loop(0, steps, lambda t, s: system.step(jax.random.fold_in(KEY, t), s, data), state)


@pytest.mark.parametrize("steps", [0, 100])
def test_sharpness_is_the_top_eigenvalue_of_the_hessian(steps):
    system = Watched(system=STUDENT)
    data, state = after(system, steps)
    found = float(jax.jit(system.observe)(state, data)["sharpness"])
    flat, unravel = ravel_pytree(state.inner.params)
    hessian = jax.jit(jax.hessian(lambda w: STUDENT.model.loss(unravel(w), data, KEY)))(flat)
    eigenvalues = np.linalg.eigvalsh(np.asarray(hessian, np.float64))
    assert found == pytest.approx(eigenvalues[np.abs(eigenvalues).argmax()], rel=1e-3)


def test_watching_changes_nothing():
    times = np.array([0, 5, 20])
    plain, watched = (jax.jit(lambda s=s: simulate(s, KEY, times))() for s in (STUDENT, Watched(system=STUDENT, noise=2)))
    for name, values in plain.items():
        np.testing.assert_allclose(values, watched[name], rtol=1e-5, atol=1e-6)
    assert float(watched["update_vector"][0]) == 0 and float(watched["update_vector"][1]) > 0


def test_updates_and_gradients_by_role():
    system = Watched(system=Descent(model=LANGUAGE, learning_rate=0.01, rule=AdamW()), sharpness=False, kernel=2)
    data, before = after(system, 3)
    _, state = after(system, 4)
    moved = jax.tree.map(jnp.subtract, state.inner.params, before.inner.params)
    look = jax.jit(system.observe)
    found = look(state, data)
    for name, value in by_role(moved).items():
        assert float(found[f"update_{name}"]) == pytest.approx(float(value), rel=1e-3)
    flat = np.asarray(ravel_pytree(moved)[0])
    count = {"input": 6 * 8, "readout": 8 * 6}
    total = sum(n * float(found[f"update_{name}"]) ** 2 for name, n in count.items())
    assert 0 < total < np.sum(flat**2) and {"update_hidden", "gradient_hidden", "gradient_vector"} <= set(found)
    assert 0.5 < float(found["kernel_alignment"]) < 1.0
    _, start = after(system, 0)
    assert float(look(start, data)["kernel_alignment"]) == pytest.approx(1.0, abs=1e-5)


def test_alignment_of_representations_by_hand():
    """The cosine of Gram matrices of the last places, in numpy; 1 at the start."""
    system = Watched(system=Descent(model=LANGUAGE, learning_rate=0.05, rule=AdamW()), sharpness=False, site="layer0/out")
    look = jax.jit(system.observe)
    data, state = after(system, 5)
    _, start = after(system, 0)
    grams = []
    for params in (state.inner.params, start.inner.params):
        h = np.asarray(LANGUAGE.activations(params, data)["layer0/out"])[:, -1]
        grams.append(h @ h.T)
    wanted = (grams[0] * grams[1]).sum() / np.sqrt((grams[0] ** 2).sum() * (grams[1] ** 2).sum())
    assert float(look(state, data)["representation_alignment"]) == pytest.approx(wanted, rel=1e-4) and wanted < 0.999
    assert float(look(start, data)["representation_alignment"]) == pytest.approx(1.0, abs=1e-5)
    lost = Watched(system=system.system, sharpness=False, site="layer9/out")
    with pytest.raises(ValueError, match="no site 'layer9/out' in this network to watch; choose from"):
        jax.eval_shape(lost.observe, state, data)
    scores = Watched(system=system.system, sharpness=False, site="layer0/scores")
    with pytest.raises(ValueError, match="needs activations of every place"):
        jax.eval_shape(scores.observe, state, data)


def test_noise_and_kernel_by_hand():
    """tr(covariance) / |mean|^2 less its noise of three draws, and the cosine of Jacobian products, in float64 numpy."""
    system = Watched(system=Descent(model=LANGUAGE, learning_rate=0.05, rule=AdamW()), sharpness=False, noise=3, kernel=2)
    data, state = after(system, 5)
    _, start = after(system, 0)
    found = jax.jit(system.observe)(state, data)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(0), 2), 3)
    one = jax.jit(lambda params, key: ravel_pytree(jax.grad(LANGUAGE.loss)(params, data, key))[0])
    grads = np.array([one(state.inner.params, key) for key in keys], np.float64)
    mean, trace = grads.mean(0), grads.var(0, ddof=1).sum()
    assert float(found["noise_trace"]) == pytest.approx(trace, rel=1e-3)
    assert float(found["noise_signal"]) == pytest.approx(mean @ mean - trace / 3, rel=1e-3)

    unravel = ravel_pytree(start.inner.params)[1]
    jacobian = jax.jit(jax.jacobian(lambda w: LANGUAGE.apply(unravel(w), data.test.tokens[:2])[0].reshape(2, -1)))
    rows = [np.asarray(jacobian(ravel_pytree(one.inner.params)[0]), np.float64) for one in (state, start)]
    kernels = [np.einsum("iop,jop->ij", one, one) for one in rows]
    cosine = np.sum(kernels[0] * kernels[1]) / np.sqrt(np.sum(kernels[0] ** 2) * np.sum(kernels[1] ** 2))
    assert float(found["kernel_alignment"]) == pytest.approx(cosine, abs=1e-5) and cosine < 0.9999


def test_a_full_batch_has_no_gradient_noise():
    data, state = after(Watched(system=STUDENT, noise=4), 2)
    found = jax.jit(Watched(system=STUDENT, noise=4).observe)(state, data)
    assert float(found["noise_trace"]) < 1e-6 * float(found["noise_signal"])


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"noise": 1}, ValueError, "at least 2 draws"),
        ({"kernel": 2}, TypeError, "needs a model with apply"),
        ({"site": "final"}, TypeError, "needs a model with activations"),
    ],
)
def test_refusals(options, error, message):
    with pytest.raises(error, match=message):
        Watched(system=STUDENT, **options).check()
