"""`simulate` computes and refuses as a sweep does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.dynamics.chain import PopulationChain
from jaxscale.models.language.attention import Attention, LinearAttention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.tensor_roles import adam_rates
from jaxscale.models.matrix_sensing import SymmetricSensing


def test_products_of_simulate_are_as_precise_as_those_of_a_sweep():
    system = js.Descent(model=SymmetricSensing(n=6, rank=2, k=3, alpha=0.1), learning_rate=0.1)
    text = jax.jit(lambda key: js.simulate(system, key, [0, 2])).lower(jax.random.key(0)).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert products and all("HIGHEST" in line for line in products)
    text = jax.jit(lambda key: js.simulate(system, key, [0, 2], precision=None)).lower(jax.random.key(0)).as_text()
    assert not any("HIGHEST" in line for line in text.splitlines())


@pytest.mark.parametrize("points", [float("nan"), -3.0])
def test_simulate_refuses_what_a_sweep_refuses(points):
    with pytest.raises(ValueError, match="points >= 2"):
        js.simulate(PopulationChain(d=8, points=points), jax.random.key(0), [0, 1])
    traced = jax.jit(lambda p: js.simulate(PopulationChain(d=8, points=p), jax.random.key(0), [0, 1])["steps"])(points)
    assert traced.shape == (2,)  # a traced number is nobody's to check on the host


@pytest.mark.parametrize("mixer", [Attention, LinearAttention])
def test_mup_at_the_base_width_is_the_standard_parametrisation(mixer):
    """The same weights give the same logits, and every rate has factor 1; at twice the width hidden rates are halved."""
    how = {"vocabulary": 6, "context": 8, "width": 32, "depth": 1}
    plain, mup = Decoder(**how, mixer=mixer(heads=4)), Decoder(**how, mixer=mixer(heads=4, mup=True), mup=True, base=32)
    tokens = jnp.arange(16).reshape(2, 8) % 6
    params = jax.jit(plain.init)(jax.random.key(0), tokens)
    logits = [jax.jit(network.apply)(params, tokens) for network in (plain, mup)]
    logits = [np.asarray(one[0] if isinstance(one, tuple) else one) for one in logits]
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-6)
    assert {float(f) for f in jax.tree.leaves(adam_rates(params["params"], 32))} == {1.0}
    wide = jax.eval_shape(Decoder(**(how | {"width": 64}), mixer=mixer(heads=4)).init, jax.random.key(0), tokens)["params"]
    assert {round(float(f), 6) for f in jax.tree.leaves(adam_rates(wide, 32))} == {1.0, 0.5, round(0.5**0.5, 6)}
