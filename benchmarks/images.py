"""SGD of small networks on real images, by the hundred: digits, P=512, B=16, one hidden layer of 64 and of 256.

Run: python benchmarks/images.py. Prints one JSON line a race (seed-steps per second, our ratio to each contender), and what the
parts of a step cost.
"""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from race import race

import jaxscale as js
from jaxscale.data.minibatch import draw_rows
from jaxscale.engine.ask.request import Request
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.place.room import fitted
from jaxscale.engine.place.width import usual_width
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import lane_key
from jaxscale.models.mlp import Mlp

P, B, SEEDS, STEPS, TEMPERATURE, ALPHA = 512, 16, 64, 100, 0.5, 1.0


def network(width):
    """The network that is trained."""
    return Mlp(p=P, alpha=ALPHA, width=width, depth=1, test=64)


def minibatch(width):
    """Minibatch SGD against a vmapped scan, a scan a seed, a step loop, and torch where it is installed."""
    model = network(width)

    def experiment(temperature):
        return js.sgd(model, temperature=temperature, batch=B)

    request = Request.make(experiment, grid={"temperature": [TEMPERATURE]}, seeds=SEEDS, times=[STEPS])
    program = program_of(request, {})
    lanes = request.grid.lanes({})
    executable = fitted(request, program, usual_width(request, program), lanes)
    system, keys = experiment(TEMPERATURE), jnp.stack([lane_key(0, lanes, i) for i in range(SEEDS)])

    def ours():
        return run_cohort(executable, lanes, request.times, recorder=Rows).observed["norm"][:, -1]

    def one(key):
        return js.simulate(system, key, (STEPS,))["norm"][-1]

    whole, alone = jax.jit(jax.vmap(one)), jax.jit(one)

    def begin(key):
        key_data, key_init, key_step = jax.random.split(key, 3)
        data = system.sample(key_data)
        return data, system.init(key_init, data), key_step

    start = jax.jit(jax.vmap(begin))
    step = jax.jit(jax.vmap(lambda k, t, s, d: system.step(jax.random.fold_in(k, t), s, d), in_axes=(0, None, 0, 0)))
    norm = jax.jit(jax.vmap(lambda state, data: system.observe(state, data)["norm"]))

    def python_loop():
        data, state, step_keys = start(keys)
        for t in range(STEPS):
            state = step(step_keys, t, state, data)
        return np.asarray(norm(state, data))

    @jax.jit
    @jax.vmap
    def plain(key):
        """What one writes by hand: optax, `jax.random.choice`, a scan."""
        data, _, key_step = begin(key)
        rule, params = optax.sgd(TEMPERATURE * B), jax.tree.map(jnp.zeros_like, data.origin)

        def move(carry, key):
            params, memory = carry
            rows = jax.random.choice(key, P, (B,), replace=False)
            grads = jax.grad(lambda w: model.loss(w, model.batch(data, rows)))(params)
            updates, memory = rule.update(grads, memory)
            return (optax.apply_updates(params, updates), memory), None

        params, _ = jax.lax.scan(move, (params, rule.init(params)), jax.random.split(key_step, STEPS))[0]
        return optax.global_norm(params)

    contenders = {
        "jaxscale": ours,
        "jit(vmap(scan)), our sampler": lambda: np.asarray(whole(keys)),
        "jit(vmap(scan)), jax.random.choice": lambda: jax.block_until_ready(plain(keys)) is None or None,
        "scan a seed": lambda: np.array([alone(key) for key in keys]),
        "jitted vmapped step, Python loop": python_loop,
    } | _torch(width)
    race(f"SGD on digits P={P} B={B} h={width}", contenders, SEEDS * STEPS, tolerance=2e-2, width=executable.width)
    parts(model, begin, keys)


def parts(model, begin, keys):
    """Print what a step's parts cost, in microseconds a seed-step of one vmapped loop, each left out in turn."""
    data, _, step_keys = jax.jit(jax.vmap(begin))(keys)
    rows = jnp.arange(B)

    def loop(choose, look=lambda w, d: 0.0, shared=False):
        def run(data, key):
            def move(t, params):
                batch = model.batch(data, choose(jax.random.fold_in(key, t)))
                new = jax.tree.map(lambda w, g: w - TEMPERATURE * B * g, params, jax.grad(model.loss)(params, batch))
                return jax.tree.map(lambda w: w + 0 * look(new, data), new)

            return jax.lax.fori_loop(0, STEPS, move, jax.tree.map(jnp.zeros_like, data.origin))

        return jax.jit(jax.vmap(run, in_axes=(None if shared else 0, 0)))

    def finite(w, _):
        return jnp.where(jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(w)])), 0.0, 1.0)

    def drawn(key):
        return draw_rows(key, B, P, P)

    first = jax.tree.map(lambda x: x[0], data)
    variants = {
        "whole step": (loop(drawn), data),
        "no drawing of rows": (loop(lambda key: rows + jax.random.key_data(key)[0].astype(jnp.int32) % 2), data),
        "no gather: the same rows": (loop(lambda key: rows), data),
        "one data set for all lanes": (loop(drawn, shared=True), first),
        "with a look at finiteness": (loop(drawn, finite), data),
        "with a look at the whole training set": (loop(drawn, lambda w, d: model.loss(w, d)), data),
    }
    micros = {}
    for name, (run, given) in variants.items():
        jax.block_until_ready(run(given, step_keys))
        spent = []
        for _ in range(5):
            clock = time.perf_counter()
            jax.block_until_ready(run(given, step_keys))
            spent.append(time.perf_counter() - clock)
        micros[name] = round(min(spent) / (SEEDS * STEPS) * 1e6, 2)
    print(json.dumps({"parts of a step, microseconds a seed-step": micros}))


def _torch(width):
    try:
        import torch
    except ModuleNotFoundError:
        print("torch is not installed: its contender is left out")
        return {}
    data = js.sgd(network(width), temperature=TEMPERATURE, batch=B).sample(jax.random.key(0))
    inputs, labels = torch.tensor(np.asarray(data.inputs)), torch.tensor(np.asarray(data.labels))

    def run():
        for _ in range(SEEDS):
            first = torch.randn(inputs.shape[1], width)
            last, start = torch.randn(width), (first.clone(), None)
            weights = [torch.zeros_like(first, requires_grad=True), torch.zeros_like(last, requires_grad=True)]
            rule = torch.optim.SGD(weights, lr=TEMPERATURE * B)

            def forward(x, a, b):
                return torch.relu(x @ a / x.shape[1] ** 0.5) * 2**0.5 @ b / width

            for _ in range(STEPS):
                rows = torch.randperm(P)[:B]
                x = inputs[rows]
                gap = forward(x, start[0] + weights[0], last + weights[1]) - forward(x, start[0], last)
                loss = torch.relu(1 / ALPHA - labels[rows] * gap).mean()
                rule.zero_grad()
                loss.backward()
                rule.step()

    return {"torch, a seed at a time": run}


if __name__ == "__main__":
    for units in (64, 256):
        minibatch(units)
