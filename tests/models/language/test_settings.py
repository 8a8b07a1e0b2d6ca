"""Settings that no other test would miss: taps, experts, prompts, clips, schedules, and how text is continued."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxscale.data.markov import Markov
from jaxscale.dynamics.gradients import Plain, RmsNormalised
from jaxscale.dynamics.schedules import Schedule
from jaxscale.models.language import model as language_model
from jaxscale.models.language.experts import ExpertPerceptron
from jaxscale.models.language.flops import flops_per_token
from jaxscale.models.language.generation import generate
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.prompt import Prompted
from jaxscale.models.language.taps import Tap
from jaxscale.records import check

TINY = language_model.TINY()


def test_a_tap_scales_what_it_does_not_replace():
    np.testing.assert_array_equal(Tap(mask=jnp.array([1.0, 0.0]), value=5.0, scale=2.0)(jnp.ones(2)), [5.0, 2.0])
    np.testing.assert_array_equal(Tap()(jnp.array([0.1, -3.0])), np.float32([0.1, -3.0]))


def test_a_mixtures_start():
    """Every expert 1 / fan-in as if alone, the router .02: root mean squares, in standard errors."""
    params = ExpertPerceptron(experts=8, top=2, hidden=64).init(jax.random.key(0), jnp.ones((1, 1, 32)))["params"]
    for name, wanted in (("up", 32**-0.5), ("down", 64**-0.5), ("router", 0.02)):
        assert np.sqrt(np.mean(params[name] ** 2)) == pytest.approx(wanted, rel=4 / np.sqrt(2 * params[name].size)), name


@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_the_spread_of_a_prompt(spread):
    model = Prompted(model=TINY, length=500, spread=spread)
    prompt = jax.jit(lambda key: model.init(key, model.sample(key)))(jax.random.key(0))
    assert np.std(prompt) == pytest.approx(spread, rel=4 / np.sqrt(2 * prompt.size))


def test_clips_and_norms_of_gradients():
    grad = {"w": jnp.array([0.6, 0.8])}

    def loss(params, key):
        return params["w"] @ grad["w"]

    for rule, wanted in ((Plain(clip=100.0), [0.6, 0.8]), (Plain(clip=0.5), [0.3, 0.4]),
                         (RmsNormalised(epsilon=1.0), np.array([0.6, 0.8]) / (0.5**0.5 + 1))):  # fmt: skip
        np.testing.assert_allclose(rule(loss, grad, jax.random.key(0))["w"], wanted, rtol=1e-6)
    for bad, message in (
        (Plain(clip=-1.0), "clip must be positive; got -1"),
        (RmsNormalised(epsilon=0.0), "must be positive; got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            check(bad)


def test_schedules_with_warm_up_and_floor():
    t = jnp.arange(101)
    wsd = jax.vmap(Schedule(shape="wsd", steps=100.0, warmup=10.0, floor=0.3, cooldown=0.2))(t)
    np.testing.assert_allclose(wsd[:10], np.arange(1, 11) / 10, rtol=1e-6)
    np.testing.assert_allclose(wsd[80:], np.linspace(1, 0.3, 21), rtol=1e-5)
    drop = jax.vmap(Schedule(shape="two-stage", steps=100.0, warmup=10.0, floor=0.1, cooldown=0.2))(t)
    np.testing.assert_allclose(drop[:10], np.arange(1, 11) / 10, rtol=1e-6)
    with pytest.raises(ValueError, match="warmup must not be negative; got -5"):
        check(Schedule(shape="cosine", steps=10.0, warmup=-5.0))


@pytest.mark.parametrize("steps", [10, 50, 100])
def test_a_drop_does_not_depend_on_what_is_traced(steps):
    for cooldown in np.linspace(0.1, 0.9, 9):
        kept = round((1 - cooldown) * steps) + 1  # steps at the peak, step 0 among them
        plain = Schedule(shape="two-stage", steps=float(steps), floor=0.1, cooldown=float(cooldown))
        traced = jax.jit(lambda own: jax.vmap(own)(jnp.arange(steps)))(plain)
        wanted = np.where(np.arange(steps) < kept, 1, 0.1)
        np.testing.assert_allclose(traced, wanted, rtol=1e-6)
        np.testing.assert_allclose(jax.vmap(plain)(jnp.arange(steps)), wanted, rtol=1e-6)


class TwoBack(nnx.Module):
    """What comes next is what came two places before."""

    def __init__(self, rngs):
        self.table = nnx.Embed(4, 4, rngs=rngs)

    def __call__(self, tokens):
        return self.table(jnp.roll(tokens, 2, axis=1))


@pytest.mark.parametrize("prompt", [[3, 1, 2], [0, 0, 0, 0, 3, 1, 2]])
def test_text_goes_on_through_a_window_that_rolls(prompt):
    model = LanguageModel(world=Markov(vocabulary=4, context=5), network=TwoBack, batch=2, evaluation=2)
    tokens = generate(model, {"table": {"embedding": 50 * jnp.eye(4)}}, jax.random.key(0), jnp.array(prompt), 12)
    np.testing.assert_array_equal(tokens, [*prompt, *4 * [3, 1, 2]])


def test_flops_of_a_readout_of_classes():
    classes, tokens = (TINY.network.clone(vocabulary=9, outputs=outputs) for outputs in (2, 0))
    assert flops_per_token(tokens) - flops_per_token(classes) == 6 * TINY.network.width * 7
