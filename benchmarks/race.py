"""How races are run: same arithmetic, one process, contenders interleaved, compile time apart, one JSON line."""

import json
import platform
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

REPEATS = 5

jax.config.update("jax_enable_compilation_cache", False)  # else whoever's program is on disk already compiles in no time


def race(
    name: str, contenders: dict[str, Callable], work: float, unit: str = "seed-steps/s", tolerance: float = 1e-4, **facts
) -> dict:
    """Run every contender once to compile, then `REPEATS` times in turn; assert equal answers; print and return one line.

    Args:
      name: of the race.
      contenders: {name: function() -> array of final observables, or None where the law but not the path is shared}.
        The first is ours, the reference of every ratio.
      work: units of work in one call; a contender may carry its own in an attribute `work`.
      unit: of work per second.
      tolerance: relative, on the answers.
      facts: added to the line.
    """
    compiled, seconds, answers = {}, {key: [] for key in contenders}, {}
    for key, run in contenders.items():
        began = time.perf_counter()
        answers[key] = run()
        first = time.perf_counter() - began
        began = time.perf_counter()
        run()
        compiled[key] = max(first - (time.perf_counter() - began), 0.0)
    for _ in range(REPEATS):
        for key, run in contenders.items():
            began = time.perf_counter()
            run()
            seconds[key].append(time.perf_counter() - began)
    ours = next(iter(contenders))
    for key, answer in answers.items():
        if answer is not None:
            np.testing.assert_allclose(answer, answers[ours], rtol=tolerance, err_msg=f"{key} and {ours} disagree")
    rate = {key: getattr(run, "work", work) / statistics.median(seconds[key]) for key, run in contenders.items()}
    line = {
        "race": name, "unit": unit, "rate": {k: _short(v) for k, v in rate.items()},
        "ours_over": {k: _short(rate[ours] / v) for k, v in rate.items() if k != ours},
        "spread": {k: _short((max(s) - min(s)) / statistics.median(s)) for k, s in seconds.items()},
        "compile_s": {k: _short(v) for k, v in compiled.items()}, **facts,
        "jax": jax.__version__, "numpy": np.__version__,
        "machine": f"{len(jax.devices())} x {platform.machine()} {jax.devices()[0].platform}",
    }  # fmt: skip
    print(json.dumps(line), flush=True)
    return line


def machine_limits() -> dict[str, float]:
    """The machine's own float32 matrix-multiply rate (flop/s) and memory bandwidth (B/s), all cores, best of five."""
    a = np.random.default_rng(0).normal(size=(1536, 1536)).astype(np.float32)
    big = np.zeros(2**26, np.float32)
    product = min(_timed(lambda: a @ a) for _ in range(5))
    copy = min(_timed(lambda: big.copy()) for _ in range(5))
    return {"matmul_flops": 2 * 1536**3 / product, "bandwidth": 2 * big.nbytes / copy}


def shares(line: dict, contender: str, flops: float, moved: float) -> None:
    """Print what share of the machine's limits one contender reaches, from flops and bytes per unit of work."""
    limits = machine_limits()
    rate = line["rate"][contender]
    found = {"matmul": rate * flops / limits["matmul_flops"], "bandwidth": rate * moved / limits["bandwidth"]}
    print(json.dumps({"race": line["race"], "share_of_limits": {k: _short(v) for k, v in found.items()}}), flush=True)


def _timed(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _short(value):
    return float(f"{value:.3g}")
