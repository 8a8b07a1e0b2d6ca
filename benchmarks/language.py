"""Hundreds of tiny language models in one program: two layers, D 32, context 32, vocabulary 32, batch 8, Adam.

Run: python benchmarks/language.py. Prints one JSON line a size: seed-steps per second, compile seconds, our ratio to each
contender, and the share of this machine's own matrix-product rate.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from race import machine_limits, race

from jaxscale.data.markov import Markov
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.engine.ask.request import Request
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import lane_key
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.flops import flops_per_token
from jaxscale.models.language.model import LanguageModel

SEEDS, STEPS, CONTEXT, BATCH = 16, 40, 32, 8


def flops_a_step(width):
    """Of one network."""
    return flops_per_token(system(width).model.network) * CONTEXT * BATCH


def system(width, rate=1e-3):
    """What is trained."""
    world = Markov(vocabulary=32, context=CONTEXT)
    network = Decoder(vocabulary=32, context=CONTEXT, mixer=Attention(heads=4), width=width)
    model = LanguageModel(world=world, network=network, batch=BATCH, evaluation=8)
    return Descent(model=model, learning_rate=rate, rule=AdamW(b2=0.999))


def main(width):
    def experiment(rate):
        return system(width, rate)

    request = Request.make(experiment, grid={"rate": [1e-3]}, seeds=SEEDS, times=[STEPS], width=8)
    program, lanes = program_of(request, {}), request.grid.lanes({})
    executable = fitted(request, program, 8, lanes)
    keys = jnp.stack([lane_key(0, lanes, i) for i in range(SEEDS)])
    one = system(width)

    def start(key):
        key_data, key_init, key_step = jax.random.split(key, 3)
        data = one.sample(key_data)
        return key_step, data, one.init(key_init, data)

    def ours():
        return run_cohort(executable, lanes, request.times, recorder=Rows).observed["loss"][:, -1]

    begin, look = jax.jit(start), jax.jit(one.observe)
    step = jax.jit(lambda key, t, state, data: one.step(jax.random.fold_in(key, t), state, data))

    def loop_of_steps():
        losses = []
        for key in keys:
            key_step, data, state = begin(key)
            for t in range(STEPS):
                state = step(key_step, t, state, data)
            losses.append(float(look(state, data)["loss"]))
        return np.array(losses)

    def whole(key):
        key_step, data, state = start(key)
        state = jax.lax.scan(lambda s, t: (one.step(jax.random.fold_in(key_step, t), s, data), None), state, jnp.arange(STEPS))[
            0
        ]
        return one.observe(state, data)["loss"]

    scan, batched = jax.jit(whole), jax.jit(jax.vmap(whole))
    contenders = {
        "jaxscale": ours,
        "jitted step, Python loops over seeds and steps": loop_of_steps,
        "jitted scan, loop over seeds": lambda: np.array([float(scan(key)) for key in keys]),
        "jit(vmap(scan))": lambda: np.asarray(batched(keys)),
    } | _torch(width)
    line = race(f"language model D={width}", contenders, SEEDS * STEPS, tolerance=2e-3, width=executable.width)
    share = line["rate"]["jaxscale"] * flops_a_step(width) / machine_limits()["matmul_flops"]
    print(f'{{"race": "language model D={width}", "share_of_matmul_limit": {share:.3g}}}', flush=True)


def _torch(width):
    try:
        import torch
    except ModuleNotFoundError:
        print("torch is not installed: its contender is left out")
        return {}
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = nn.MultiheadAttention(width, 4, bias=False, batch_first=True)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
            )

        def forward(self, x):
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            y = self.norm1(x)
            x = x + self.attention(y, y, y, attn_mask=mask, need_weights=False)[0]
            return x + self.mlp(self.norm2(x))

    def run():
        """Given its batches: it draws none."""
        out = []
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Embedding(32, width), Block(), Block(), nn.LayerNorm(width), nn.Linear(width, 32, bias=False)
            )
            adam = torch.optim.Adam(net.parameters(), 1e-3)
            tokens = torch.randint(0, 32, (BATCH, CONTEXT + 1))
            for _ in range(STEPS):
                loss = nn.functional.cross_entropy(net(tokens[:, :-1]).reshape(-1, 32), tokens[:, 1:].reshape(-1))
                adam.zero_grad()
                loss.backward()
                adam.step()
            out.append(float(loss))
        return None

    def none():
        run()

    return {"torch, loop over seeds, handed its batches": none}


def mfu(width):
    """Our count of flops over the compiler's, one loss gradient of one sequence batch without sampling."""
    model = system(width).model
    data = model.sample(jax.random.key(0))
    params = model.init(jax.random.key(1), data)
    seen = data.test._replace()

    def loss(params):
        logits, _ = model.apply(params, seen.tokens)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, seen.targets))

    cost = jax.jit(jax.grad(loss)).lower(params).compile().cost_analysis()
    counted = (cost[0] if isinstance(cost, list) else cost)["flops"]
    print(f'{{"race": "flops D={width}", "analytic_over_compiler": {flops_a_step(width) / counted:.3g}}}', flush=True)


if __name__ == "__main__":
    for size in (32, 64, 128):
        main(size)
        mfu(size)
