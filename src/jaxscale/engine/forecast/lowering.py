"""Whether a program lowers for processors that are not here: no compiler of theirs is needed for that much."""

from typing import Any

import jax
import jax.numpy as jnp

PLATFORMS = ("cpu", "cuda", "tpu")
LANES = 4  # of the block that is lowered; the width changes no operation
COLLECTIVES = ("all_reduce", "all_gather", "all_to_all", "collective_permute", "reduce_scatter", "collective_broadcast")


def lowered(program: Any) -> dict[str, str]:
    """{platform: "ok", or why the stepping of a block of `program` cannot be lowered for it}.

    Two steps and a look, traced for all platforms together; only where that fails each is tried alone.
    """
    try:
        text = _export(program, PLATFORMS)
    except Exception:
        verdicts = {}
        for platform in PLATFORMS:
            try:
                verdicts[platform] = _verdict(_export(program, (platform,)))
            except Exception as error:  # whatever JAX raises is the answer
                verdicts[platform] = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
        return verdicts
    return dict.fromkeys(PLATFORMS, _verdict(text))


def _export(program: Any, platforms: tuple[str, ...]) -> str:
    from jax import export

    def block(lane: Any, key: jax.Array, state: Any, data: Any) -> Any:
        state, bad = program.run(lane, key, state, data, (jnp.int32(0), jnp.int32(2)))
        return state, bad, program.look(lane, state, data)

    data, state, _ = program.shapes
    one = (program.lane, jax.ShapeDtypeStruct((2,), jnp.uint32), state, data)
    wide = jax.tree.map(lambda s: jax.ShapeDtypeStruct((LANES, *s.shape), s.dtype), one)
    with jax.default_matmul_precision(program.precision):
        return export.export(jax.jit(jax.vmap(block)), platforms=platforms)(*wide).mlir_module()


def _verdict(text: str) -> str:
    """Return "ok", or the collectives of the experiment's own: lanes exchange nothing."""
    collectives = [name for name in COLLECTIVES if f"stablehlo.{name}" in text]
    return f"exchanges data between devices ({', '.join(collectives)})" if collectives else "ok"
