"""A plan for hardware that is not there: compiled by the chip's own compiler, on a machine that has none.

Each experiment is compiled in a process of its own, since these compilers end the process when they fail: a death is a
failed check, told as such. What cannot be known without the chip (its speed, its numbers) is not claimed: the time is a
roofline, the least that arithmetic and memory allow.
"""

import dataclasses
import importlib
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np

from jaxscale.engine.ask.options import SweepOptions, asked, complete, takes_options
from jaxscale.engine.ask.request import Request
from jaxscale.engine.forecast.chips import CHIPS, Chip, devices, parse
from jaxscale.engine.forecast.lowering import COLLECTIVES
from jaxscale.engine.forecast.planning import duration, size
from jaxscale.engine.machine.devices import is_out_of_memory
from jaxscale.engine.place.room import fitted
from jaxscale.engine.place.width import usual_width
from jaxscale.engine.run.cost import Cost, step_cost
from jaxscale.engine.run.executables import forget, program_of

COMPILER = {"tpu": ("libtpu", "jaxscale[tpu]"), "cuda": ("jax_cuda12_plugin", "jaxscale[gpu]")}
SHARE = 0.8  # of a chip's memory that lanes may take; the rest is for scratch


@dataclasses.dataclass(frozen=True)
class TopologyPlan:
    """What the compiler said, bucket by bucket. Print it."""

    topology: str
    buckets: tuple[dict[str, Any], ...]

    @property
    def fits(self) -> bool:
        """Whether every bucket compiles, fits the memory and exchanges nothing between chips."""
        return all(b.get("error") is None and not b["collectives"] for b in self.buckets)

    def __str__(self) -> str:
        name, sizes = parse(self.topology)
        lines = [f"on {math.prod(sizes)} x {name} ({size(CHIPS[name].memory)} each), compiled without one:"]
        for bucket in self.buckets:
            head = f"  {bucket['static'] or 'all'}: "
            lines.append(head + (f"FAILED: {bucket['error']}" if bucket.get("error") else _describe(bucket)))
        lines.append("  roofline: the least time that arithmetic and memory allow; the chip's real speed is not known here")
        return "\n".join(lines)


@takes_options
def plan_topology(experiment: Callable[..., Any], topology: str, **options: Unpack[SweepOptions]) -> TopologyPlan:
    """Compile every bucket of a sweep for chips that are not there, and say what it would take.

    Args:
      experiment: as for `jaxscale.sweep`; a function at the top of an importable module.
      topology: chip and shape, e.g. "v5e:16x16", "v5p:2x2x1", "A100:8".
      **options: see `SweepOptions`.

    Raises:
      ValueError, TypeError: unknown topology, or an experiment that another process cannot import.
      ModuleNotFoundError: the chip's compiler is not installed.
    """
    name, _ = parse(topology)
    module, extra = COMPILER[CHIPS[name].platform]
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"planning for {name} needs its compiler, {module}: pip install '{extra}'.")
    job: dict[str, Any] = {"experiment": reference(experiment), "topology": topology, "path": sys.path}
    if options.get("sizes"):
        raise ValueError("plan one way at a time for chips that are not here: pass the sizes as grid= or static=, not sizes=.")
    chosen = {**asked(complete(options, "plan_topology")), "devices": None}
    buckets = len(Request.make(experiment, **chosen).grid.buckets())  # bad arguments fail here, and not once per child
    job["options"] = {k: _plain(v) for k, v in chosen.items()}
    plans: list[dict[str, Any]] = []
    while True:
        lines, code, errors = _child(job | {"skip": len(plans)})
        plans += [line for line in lines if "done" not in line]
        if any("done" in line for line in lines):
            return TopologyPlan(topology, tuple(plans))
        plans.append(
            {"static": {}, "error": f"the compiler's process ended with {code}: {errors[-300:].strip() or 'nothing said'}"}
        )
        if len(plans) >= buckets:
            return TopologyPlan(topology, tuple(plans))


def reference(experiment: Callable[..., Any]) -> str:
    """Return module:name of a function that another process can import.

    Raises:
      TypeError: it cannot.
    """
    module, name = getattr(experiment, "__module__", ""), getattr(experiment, "__qualname__", "")
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not experiment:
        raise TypeError(f"the experiment must be a function at the top of an importable module; got {module}.{name}.")
    return f"{module}:{name}"


def _child(job: dict[str, Any]) -> tuple[list[dict[str, Any]], int, str]:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # it is the compiler that is wanted, and two plans may want it at a time
    command = [sys.executable, "-m", "jaxscale.engine.forecast.topology"]
    ended = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, env=environment, check=False)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"')]
    return lines, ended.returncode, ended.stderr


def main() -> None:
    """Be the child: print one JSON line a bucket on standard output, then {"done"}."""
    job = json.loads(sys.stdin.read())
    sys.path[:] = job["path"]
    module, _, name = job["experiment"].partition(":")
    experiment = getattr(importlib.import_module(module), name)
    chip = CHIPS[parse(job["topology"])[0]]
    chips = devices(job["topology"])
    request = Request.make(experiment, **{**job["options"], "devices": chips, "memory": SHARE * chip.memory})
    for static in request.grid.buckets()[job["skip"] :]:
        print(json.dumps(_bucket(request, static, chip)), flush=True)
    print(json.dumps({"done": True}), flush=True)


def _bucket(request: Request, static: dict[str, Any], chip: Chip) -> dict[str, Any]:
    """Compile one bucket: with fewer blocks in flight as long as it does not fit, then with narrower ones, as a sweep does."""
    program = program_of(request, static)
    width, most, refused = usual_width(request, program), None, []
    while True:
        executable = fitted(request, program, width, request.grid.lanes(static), most)
        try:
            _ = executable.start
            compiled = executable.advance
            used = _used(compiled)
            if used > chip.memory:  # the GPU's compiler does not object
                raise MemoryError(f"{size(used)} on a chip of {size(chip.memory)}")
        except Exception as error:
            if not is_out_of_memory(error):
                return {"static": static, "error": f"{type(error).__name__}: {str(error)[:300]}"}
            forget(executable)
            refused.append(executable.rows)
            if executable.blocks > 1:
                most = executable.blocks // 2
            elif width > 2:
                width, most = width // 2, None
            else:
                return {"static": static, "error": f"one block of {width} runs does not fit: {str(error)[:200]}"}
            continue
        break
    text, cost = compiled.as_text(), step_cost(program)
    lanes, slots = request.grid.lanes_per_bucket, width * len(request.devices)
    products = [(shapes, dtype, precision, times) for (shapes, dtype, precision), times in cost.products.items()]
    seconds = max(_arithmetic(cost, chip), cost.bytes / chip.bandwidth)
    return {
        "static": static, "error": None, "lanes": lanes, "width": width, "lanes_per_chip": executable.rows, "refused": refused,
        "bytes_per_chip": used, "flops_per_step": cost.flops, "bytes_per_step": cost.bytes, "open_loops": cost.open_loops,
        "products": products, "compiled_precision": sorted(set(re.findall(r"operand_precision=\{(\w+)", text))),
        "bfloat16": narrow_products(text), "collectives": _collectives(text),
        "compile_seconds": executable.seconds["compile"],
        "roofline_seconds": seconds * int(request.times[-1]) * -(-lanes // slots) * width,
    }  # fmt: skip


def _arithmetic(cost: Cost, chip: Chip) -> float:
    """Return the seconds of one lane's step if all units were busy: products at their precision, the rest at a hundredth of
    peak.
    """
    products = sum(flops / chip.rate(*kind) for kind, flops in cost.product_flops.items())
    rest = max(cost.flops - sum(cost.product_flops.values()), 0)
    return products + rest / (chip.fast / 100)


def _collectives(text: str) -> dict[str, int]:
    names = [name.replace("_", "-") for name in COLLECTIVES]  # as compiled programs spell them
    counts = {name: len(re.findall(rf" {name}(?:-start)?\(", text)) for name in names}
    return {name: count for name, count in counts.items() if count}


def narrow_products(text: str) -> bool:
    """Return whether any product reads bfloat16. Other things a TPU keeps in it lose nothing: the value beside an argmax."""
    narrow = set(re.findall(r"(%[\w.-]+)(?: =|:) bf16\[", text))
    products = re.findall(r" (?:dot|convolution)\(([^)]*)\)", text)
    return any("bf16[" in operands or narrow & set(re.findall(r"%[\w.-]+", operands)) for operands in products)


def _used(compiled: Any) -> int:
    memory = compiled.memory_analysis()
    whole = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return int(whole - memory.alias_size_in_bytes)


def _describe(b: Mapping[str, Any]) -> str:
    products = ", ".join(f"{n} x {shapes} {dtype} at {precision}" for shapes, dtype, precision, n in b["products"]) or "none"
    notes = [f"{size(b['bytes_per_chip'])} a chip", f"{b['flops_per_step']:.3g} flops and {size(b['bytes_per_step'])} a step"]
    if b["open_loops"]:
        notes.append(f"{b['open_loops']} loop(s) of unknown length counted once")
    if b["refused"]:
        notes.append(f"{b['refused'][0]:,} runs a chip would not fit")
    return (
        f"{b['lanes']:,} runs, blocks of {b['width']}, {b['lanes_per_chip']:,} runs a chip at once, {', '.join(notes)}; "
        f"products: {products}{' (bfloat16 inside)' if b['bfloat16'] else ''}; "
        f"collectives: {b['collectives'] or 'none'}; compiled in {b['compile_seconds']:.1f} s; "
        f"roofline {duration(b['roofline_seconds'])}"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(v) for v in value]
    return value


if __name__ == "__main__":
    main()
