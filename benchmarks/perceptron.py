"""The margin perceptron under minibatch SGD (P=512, d=32, B=16), and event-driven SGD in the noise regime.

Run: python benchmarks/perceptron.py. Prints one JSON line a race: seed-steps per second and our ratio to each contender.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
from race import race, shares

import jaxscale as js
from jaxscale.data.minibatch import draw_rows
from jaxscale.dynamics.events import PerceptronEvents
from jaxscale.engine.ask.request import Request
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.place.room import fitted
from jaxscale.engine.place.width import usual_width
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import lane_key
from jaxscale.models.perceptron import Perceptron

P, D, B, SEEDS, STEPS, TEMPERATURE = 512, 32, 16, 64, 500, 0.5
MODEL = Perceptron(d=D, alpha=P / D, alpha_max=P / D, chi=1.0)


def experiment(temperature):
    """The run that is raced."""
    return js.sgd(MODEL, temperature=temperature, batch=B)


def minibatch():
    """Minibatch SGD against everyone. The obvious program draws its batch with `jax.random.choice`, which sorts P rows:
    it follows the same law on another path, so its answer is compared in law by the tests and not here.
    """
    request = Request.make(experiment, grid={"temperature": [TEMPERATURE]}, seeds=SEEDS, times=[STEPS])
    program = program_of(request, {})
    executable = fitted(request, program, usual_width(request, program), request.grid.lanes({}))
    lanes = request.grid.lanes({})
    system = experiment(TEMPERATURE)
    keys = jnp.stack([lane_key(0, lanes, i) for i in range(SEEDS)])

    @jax.jit
    @jax.vmap
    def begin(key):
        key_data, _, key_step = jax.random.split(key, 3)

        def rows(t):
            return draw_rows(jax.random.split(jax.random.fold_in(key_step, t))[0], B, P, P)

        return system.sample(key_data), jax.lax.map(rows, jnp.arange(STEPS)), key_step

    data, rows, step_keys = begin(keys)
    inputs, order = np.asarray(data.inputs), np.asarray(rows)  # numpy and torch are handed the batches: no sampling cost

    def ours():
        return run_cohort(executable, lanes, request.times, recorder=Rows).observed["norm"][:, -1]

    def numpy_loop():
        out = []
        for x, index in zip(inputs, order):
            v = np.zeros(D, np.float32)
            for t in range(STEPS):
                batch = x[index[t]]
                v = v + TEMPERATURE * batch.T @ (batch @ v < 1).astype(np.float32)
            out.append(v)
        return np.linalg.norm(np.array(out), axis=1)

    def numpy_batched():
        v = np.zeros((SEEDS, D), np.float32)
        who = np.arange(SEEDS)[:, None]
        for t in range(STEPS):
            batch = inputs[who, order[:, t]]
            short = (np.einsum("sbd,sd->sb", batch, v) < 1).astype(np.float32)
            v = v + TEMPERATURE * np.einsum("sbd,sb->sd", batch, short)
        return np.linalg.norm(v, axis=1)

    step = jax.jit(
        jax.vmap(lambda key, t, state, data: system.step(jax.random.fold_in(key, t), state, data), in_axes=(0, None, 0, 0))
    )

    def python_loop():
        state = jax.vmap(lambda data: system.init(None, data))(data)
        for t in range(STEPS):
            state = step(step_keys, t, state, data)
        return np.linalg.norm(np.asarray(state.params), axis=1)

    @jax.jit
    @jax.vmap
    def same_sampler(key):
        return js.simulate(system, key, (STEPS,))["norm"][-1]

    @jax.jit
    @jax.vmap
    def obvious(key, data):
        def one(v, key):
            index = jax.random.choice(key, P, (B,), replace=False)
            grads = jax.grad(lambda v: jnp.mean(jax.nn.relu(1 - data.inputs[index] @ v)))(v)
            return v - TEMPERATURE * B * grads, None

        return jnp.linalg.norm(jax.lax.scan(one, jnp.zeros(D), jax.random.split(key, STEPS))[0])

    contenders = {
        "jaxscale": ours,
        "numpy loop over seeds, batches given": numpy_loop,
        "numpy batched over seeds, batches given": numpy_batched,
        "jitted vmapped step, Python loop": python_loop,
        "jit(vmap(scan)), our sampler": lambda: np.asarray(same_sampler(keys)),
        "jit(vmap(scan)), jax.random.choice": lambda: jax.block_until_ready(obvious(keys, data)) is None or None,
    } | _torch(inputs, order)
    line = race("perceptron SGD P=512 d=32 B=16", contenders, SEEDS * STEPS, tolerance=1e-3, width=executable.width)
    shares(line, "jaxscale", flops=4 * B * D, moved=4 * B * D)


def events():
    """Event-driven against plain SGD, both ours, in SGD steps per second until every point is fitted (T=100, B=1)."""

    def fast(temperature):
        return PerceptronEvents(model=MODEL, temperature=temperature, single=True)

    def plain(temperature):
        return js.Until(system=js.sgd(MODEL, temperature=temperature), when=js.fitted, every=32)

    done = {}
    contenders = {}
    for name, system, seeds, times in (("event-driven", fast, 1024, [20_000]), ("step by step", plain, 8, [1500])):
        request = Request.make(system, grid={"temperature": [100.0]}, seeds=seeds, times=times)
        program = program_of(request, {})
        executable = fitted(request, program, usual_width(request, program), request.grid.lanes({}))
        lanes = request.grid.lanes({})

        def run(executable=executable, lanes=lanes, request=request, name=name):
            done[name] = run_cohort(executable, lanes, request.times, recorder=Rows).observed
            return None

        run()
        run.work = float(done[name]["steps"][:, -1].sum())
        contenders[name] = run
    race("perceptron SGD to the end, P=512 d=32 B=1 T=100", contenders, 1.0, unit="SGD steps/s")
    law = {
        name: [float(np.mean(o["lambda"][:, -1])), float(np.std(o["lambda"][:, -1]) / len(o["lambda"]) ** 0.5)]
        for name, o in done.items()
    }
    print(json.dumps({"race": "same law: mean lambda and its standard error", **law}))


def _torch(inputs, order):
    try:
        import torch
    except ModuleNotFoundError:
        print("torch is not installed: its contender is left out")
        return {}
    x, index = torch.tensor(inputs), torch.tensor(order, dtype=torch.long)

    def run():
        v = torch.zeros(SEEDS, D)
        who = torch.arange(SEEDS)[:, None]
        for t in range(STEPS):
            batch = x[who, index[:, t]]
            short = (torch.bmm(batch, v[..., None])[..., 0] < 1).float()
            v = v + TEMPERATURE * torch.bmm(short[:, None], batch)[:, 0]
        return np.linalg.norm(v.numpy(), axis=1)

    return {"torch batched over seeds, batches given": run}


if __name__ == "__main__":
    minibatch()
    events()
