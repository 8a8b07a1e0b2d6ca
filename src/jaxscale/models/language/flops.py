"""How much arithmetic a step of training is, counted by hand; what share of a machine's peak; what a budget of hours buys."""

import time
from typing import Any

import jax

from jaxscale.models.language.decoder import Decoder


def flops_per_token(network: Decoder) -> float:
    """Count a decoder's flops per token, forward and backward. With softmax attention they are 6 N + 12 depth D T, N the
    parameters in matrices that are multiplied (embeddings are looked up), causality not taken off; of experts all count, since
    all are computed.

    What is done element by element (norms, gates, softmax) is left out, as is usual: a tenth of the compiler's count at
    D = 64, a sixth at 32.

    Raises:
      TypeError: a mixer that does not say its own.

    References:
      Kaplan et al. 2020, arXiv:2001.08361, section 2.1; Jiang et al. 2024 (MegaScale), arXiv:2402.15627.
    """
    width, mixer = network.width, network.mixer
    if not hasattr(mixer, "flops"):
        raise TypeError(
            f"flops_per_token asks the mixer, and {type(mixer).__name__} has no flops(width, context); give it one, of one "
            "token's forward pass, e.g. 8 * width**2 + 4 * width * context for attention."
        )
    experts = 2 * (2 * network.hidden * max(1, network.experts) * width**2 + network.experts * width)
    per_layer = mixer.flops(width, network.context) + experts
    forward = network.depth * per_layer + 2 * width * (network.outputs or network.vocabulary)
    return 3 * forward


def mfu(network: Decoder, *, batch: int, steps_per_second: float, lanes: int = 1, peak: float) -> float:
    """Return the model flop utilisation: useful flops a second of all lanes over the peak.

    Args:
      network: of each lane.
      batch: sequences a step.
      steps_per_second: of every lane, all lanes stepping together.
      lanes: networks trained side by side.
      peak: flops a second of the machine.
    """
    return lanes * steps_per_second * batch * network.context * flops_per_token(network) / peak


def throughput(system: Any, *, steps: int = 20, repeats: int = 3) -> float:
    """Measure tokens a second of one training run of a language model on this machine, the best of `repeats`, compiling apart.

    Measure it once, then hand it to `steps_in`: results of training do not depend on when the machine was busy.

    Args:
      system: with `sample`, `init`, `step`, and a language model as `model`.
      steps: steps a measurement.
      repeats: measurements.
    """
    if steps < 1 or repeats < 1 or system.model.batch < 1:
        raise ValueError(
            f"throughput needs steps, repeats and a batch of at least 1; got {steps}, {repeats}, {system.model.batch}."
        )
    key = jax.random.key(0)
    data = jax.jit(system.sample)(key)
    state = jax.jit(system.init)(key, data)

    @jax.jit
    def run(state):
        return jax.lax.fori_loop(0, steps, lambda i, state: system.step(jax.random.fold_in(key, i), state, data), state)

    jax.block_until_ready(run(state))
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(run(state))
        seconds.append(time.perf_counter() - began)
    return steps * system.model.batch * system.model.world.context / min(seconds)


def steps_in(hours: float, tokens_per_second: float, *, batch: int, context: int) -> int:
    """Return how many steps of training a budget of accelerator hours buys: tokens/s 3600 hours / (batch T), rounded.

    References:
      Stanic et al. 2023, The Languini Kitchen, arXiv:2309.11197, section 3.2.
    """
    if not (hours >= 0 and tokens_per_second >= 0 and batch >= 1 and context >= 1):
        raise ValueError(
            f"steps_in needs hours and tokens_per_second >= 0, batch and context >= 1; got {hours}, {tokens_per_second}, "
            f"{batch}, {context}."
        )
    return round(tokens_per_second * 3600 * hours / (batch * context))
