"""Matrix sensing, an operator of its own for every seed: n=30, k=10, rank 2, m=300, full-batch descent.

Run: python benchmarks/sensing.py. Prints one JSON line: seed-steps per second and our ratio to each contender.
"""

import jax
import jax.numpy as jnp
import numpy as np
from race import race, shares

import jaxscale as js
from jaxscale.engine.ask.request import Request
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.place.room import fitted
from jaxscale.engine.place.width import usual_width
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import lane_key
from jaxscale.models.matrix_sensing import SymmetricSensing
from jaxscale.models.operators import Gaussian

N, K, M, SEEDS, STEPS, ETA = 30, 10, 300, 64, 300, 0.1


def experiment(alpha):
    """The run that is raced."""
    return js.Descent(model=SymmetricSensing(n=N, rank=2, k=K, alpha=alpha, operator=Gaussian(m=M)), learning_rate=ETA)


def main():
    request = Request.make(experiment, grid={"alpha": [0.1]}, seeds=SEEDS, times=[STEPS])
    program = program_of(request, {})
    executable = fitted(request, program, usual_width(request, program), request.grid.lanes({}))
    lanes = request.grid.lanes({})
    system = experiment(0.1)
    keys = jnp.stack([lane_key(0, lanes, i) for i in range(SEEDS)])

    @jax.jit
    @jax.vmap
    def begin(key):
        key_data, key_init, _ = jax.random.split(key, 3)
        data = system.sample(key_data)
        # the model keeps a triangle of each A_i, since X X^T is symmetric; the others get the whole of the same draw
        whole = system.model.operator.sample(jax.random.split(key_data, 3)[0], (N, N))
        return data, system.init(key_init, data).params, whole

    data, start, whole = begin(keys)
    operator, seen, x0 = (np.asarray(a) for a in (whole, data.seen, start))

    def loss(x):
        return np.sum((x @ x.swapaxes(-1, -2) - np.asarray(data.left @ data.right.swapaxes(-1, -2))) ** 2, axis=(-1, -2))

    def ours():
        return run_cohort(executable, lanes, request.times, recorder=Rows).observed["error"][:, -1]

    def numpy_loop():
        out = []
        for a, y, x in zip(operator, seen, x0):
            for _ in range(STEPS):
                g = (a.T @ (a @ (x @ x.T).ravel() - y)).reshape(N, N) / (2 * M)
                x = x - ETA * (g + g.T) @ x
            out.append(x)
        return loss(np.array(out))

    def numpy_batched():
        x = x0
        for _ in range(STEPS):
            r = np.matmul(operator, (x @ x.swapaxes(1, 2)).reshape(SEEDS, -1, 1))[..., 0] - seen
            g = np.matmul(r[:, None, :], operator).reshape(SEEDS, N, N) / (2 * M)
            x = x - ETA * (g + g.swapaxes(1, 2)) @ x
        return loss(x)

    step = jax.jit(jax.vmap(lambda key, state, data: system.step(key, state, data)))

    def python_loop():
        state = jax.vmap(lambda p: js.dynamics.descent.State(p, system.optimizer().init(p)))(start)
        for _ in range(STEPS):
            state = step(keys, state, data)
        return loss(np.asarray(state.params))

    @jax.jit
    @jax.vmap
    def scanned(key):
        return js.simulate(system, key, (STEPS,))["error"][-1]

    @jax.jit
    @jax.vmap
    def obvious(a, y, x):
        def loss(x):
            return jnp.mean((a @ (x @ x.T).ravel() - y) ** 2) / 4

        return jax.lax.scan(lambda x, _: (x - ETA * jax.grad(loss)(x), None), x, length=STEPS)[0]

    contenders = {
        "jaxscale": ours,
        "numpy loop over seeds": numpy_loop,
        "numpy batched over seeds": numpy_batched,
        "jitted vmapped step, Python loop": python_loop,
        "jit(vmap(scan))": lambda: loss(np.asarray(obvious(whole, data.seen, start))),
        "jit(vmap(scan)) of our own step": lambda: np.asarray(scanned(keys)),
    } | _torch(operator, seen, x0, loss)
    line = race("sensing n=30 k=10 m=300", contenders, SEEDS * STEPS, tolerance=2e-3, width=executable.width)
    kept = M * N * (N + 1) // 2  # ours reads a triangle of each operator, twice a step
    shares(line, "jaxscale", flops=4 * kept + 4 * N * N * K, moved=2 * 4 * kept)


def _torch(operator, seen, x0, loss):
    try:
        import torch
    except ModuleNotFoundError:
        print("torch is not installed: its contender is left out")
        return {}
    a, y, start = (torch.tensor(v) for v in (operator, seen, x0))

    def run():
        x = start
        for _ in range(STEPS):
            r = torch.bmm(a, (x @ x.mT).reshape(SEEDS, -1, 1))[..., 0] - y
            g = torch.bmm(r[:, None, :], a).reshape(SEEDS, N, N) / (2 * M)
            x = x - ETA * (g + g.mT) @ x
        return loss(x.numpy())

    return {"torch batched over seeds": run}


if __name__ == "__main__":
    main()
