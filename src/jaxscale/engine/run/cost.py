"""What one step of one lane costs, counted on its jaxpr: loop bodies times their trip counts, products with their precision."""

import dataclasses
import math
from collections import Counter, defaultdict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

RANDOM_FLOPS = 60  # integer operations behind one 32-bit word of threefry, about
FREE = {
    "broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "slice", "transpose", "copy",
    "stop_gradient", "iota", "bitcast_convert_type", "random_wrap", "random_unwrap", "concatenate", "pad", "rev",
    "dynamic_slice", "gather", "expand_dims",
}  # fmt: skip
MOVES = {"dot_general", "conv_general_dilated", "gather", "scatter", "scatter-add", "dynamic_slice", "dynamic_update_slice",
         "sort", "reduce_sum", "reduce_max", "reduce_min", "cumsum", "random_bits", "cholesky", "triangular_solve"}  # fmt: skip


@dataclasses.dataclass
class Cost:
    """What one step of one lane costs."""

    flops: float = 0.0
    bytes: float = 0.0  # read and written by operations that are not fused into others
    products: Counter[Any] = dataclasses.field(default_factory=Counter)  # {(shapes, dtype, precision): times}
    product_flops: dict[Any, float] = dataclasses.field(default_factory=lambda: defaultdict(float))  # by (dtype, precision)
    open_loops: int = 0  # loops whose trip count is not known before running: counted once

    def add(self, other: "Cost", times: float = 1) -> None:
        """Add the cost of another piece of program, run `times` over."""
        self.flops += times * other.flops
        self.bytes += times * other.bytes
        for product, count in other.products.items():
            self.products[product] += int(times * count)
        for kind, flops in other.product_flops.items():
            self.product_flops[kind] += times * flops
        self.open_loops += other.open_loops


def step_cost(program: Any) -> Cost:
    """Return the cost of one step of a `Program`."""
    data, state, _ = program.shapes
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)

    def step(lane: Any, key: jax.Array, state: Any, data: Any) -> Any:
        return program.build(lane).step(jax.random.wrap_key_data(key, impl="threefry2x32"), state, data)

    with jax.default_matmul_precision(program.precision):
        cost = count(jax.make_jaxpr(step)(program.lane, key, state, data).jaxpr)
    cost.bytes += 2 * tree_bytes(state)
    return cost


def draw_cost(program: Any) -> Cost:
    """Return the cost of drawing the disorder of one lane of a `Program`."""
    with jax.default_matmul_precision(program.precision):
        return count(jax.make_jaxpr(program.begin_data)(program.lane).jaxpr)


def count(jaxpr: Any) -> Cost:
    """Return the cost of a jaxpr, loop bodies times their trip counts."""
    total = Cost()
    for equation in jaxpr.eqns:
        name, inner = equation.primitive.name, inner_jaxprs(equation)
        if name == "scan":
            total.add(count(inner[0]), equation.params["length"])
        elif name == "while":
            total.add(count(getattr(equation.params["body_jaxpr"], "jaxpr", equation.params["body_jaxpr"])))
            total.open_loops += 1
        elif name == "cond":
            total.add(max((count(branch) for branch in inner), key=lambda cost: cost.flops))
        elif inner:
            for part in inner:
                total.add(count(part))
        else:
            total.add(_operation(equation))
    return total


def inner_jaxprs(equation: Any) -> list[Any]:
    """Return the jaxprs inside an operation: loops, branches, calls."""
    values = [p for v in equation.params.values() for p in (v if isinstance(v, tuple | list) else (v,))]
    return [jaxpr for p in values if hasattr(jaxpr := getattr(p, "jaxpr", p), "eqns")]


def _operation(equation: Any) -> Cost:
    name = equation.primitive.name
    ins = [v.aval for v in equation.invars if hasattr(v.aval, "shape")]
    outs = [v.aval for v in equation.outvars if hasattr(v.aval, "shape")]
    size = sum(math.prod(a.shape) for a in outs)
    cost = Cost()
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        cost.flops = 2 * size * math.prod(ins[0].shape[i] for i in contracted)
        shapes = " x ".join(str(list(a.shape)) for a in ins)
        _add_product(cost, shapes, equation, ins)
    elif name == "conv_general_dilated":
        cost.flops = 2 * size * math.prod(ins[1].shape) / max(ins[1].shape[0], 1)
        _add_product(cost, "convolution", equation, ins)
    elif name.startswith("random_") or name.startswith("threefry"):
        cost.flops = RANDOM_FLOPS * size if name in ("random_bits", "threefry2x32") else 0
    elif name.startswith(("reduce", "arg", "cum")):
        cost.flops = sum(math.prod(a.shape) for a in ins)
    elif name == "sort":
        cost.flops = size * math.log2(max(size, 2))
    elif name not in FREE:
        cost.flops = size
    if name in MOVES:
        picks = name in ("gather", "dynamic_slice")
        cost.bytes = sum(_bytes(a) for a in (outs if picks else [*ins, *outs]))
    return cost


def _add_product(cost: Cost, shapes: str, equation: Any, ins: list[Any]) -> None:
    kind = (str(ins[0].dtype), _precision(equation.params.get("precision")))
    cost.products[shapes, *kind] += 1
    cost.product_flops[kind] += cost.flops


def _precision(given: Any) -> str:
    if given is None:
        return "default"
    return str(given[0] if isinstance(given, tuple) else given).rpartition(".")[2].lower()


def _bytes(aval: Any) -> int:
    return math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 8)


def tree_bytes(tree: Any) -> int:
    """Return the bytes of all leaves."""
    return sum(int(np.prod(s.shape, dtype=np.int64)) * s.dtype.itemsize for s in jax.tree.leaves(tree))


def largest_operand(jaxpr: Any) -> int:
    """Return the bytes of the largest input or output of any operation, loops and branches entered, rows picked out of an
    array apart.
    """
    largest = 0
    for equation in jaxpr.eqns:
        if inner := inner_jaxprs(equation):
            largest = max(largest, *(largest_operand(p) for p in inner))
            continue
        picks = equation.primitive.name in ("gather", "dynamic_slice")
        values = equation.outvars if picks else [*equation.invars, *equation.outvars]
        largest = max([largest, *(tree_bytes(v.aval) for v in values if hasattr(v.aval, "shape"))])
    return largest
