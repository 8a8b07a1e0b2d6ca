"""Accelerators by name: memory, bandwidth and peak rates as their makers state them, and what their compilers want."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Chip:
    """One accelerator. Rates in flop/s, bandwidth in B/s, memory in bytes.

    Attributes:
      platform: "tpu" or "cuda", the compiler.
      memory: what programs may use.
      bandwidth: of that memory.
      fast: peak rate of bfloat16 products (TPU) or of TF32 ones (GPU).
      passes: how many fast products a float32 product costs at each precision; on a GPU "highest" uses other units.
      target: text for the GPU compiler.
    """

    platform: str
    memory: float
    bandwidth: float
    fast: float
    passes: dict[str, float]
    target: str = ""

    def rate(self, dtype: str, precision: str) -> float:
        """Products a second of one type at one precision."""
        if dtype in ("bfloat16", "float16", "int8"):
            return self.fast
        return self.fast / self.passes.get(precision, self.passes["highest"])


TPU_PASSES = {
    "default": 1.0,
    "bfloat16": 1.0,
    "high": 3.0,
    "highest": 6.0,
    "float32": 6.0,
}  # a float32 product in bfloat16 parts


def _gpu(
    name: str, memory: float, bandwidth: float, tf32: float, float32: float, capability: tuple[int, int], cores: int, clock:
    float
) -> Chip:
    target = (
        "gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 "
        "shared_memory_per_core: 65536 shared_memory_per_block_optin: 65536 threads_per_core_limit: 1024 "
        f"core_count: {cores} fpus_per_core: 64 "
        "block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 "
        f"memory_bandwidth: {int(bandwidth)} l2_cache_size: 4194304 clock_rate_ghz: {clock} device_memory_size: {int(memory)} "
        f"cuda_compute_capability {{ major: {capability[0]} minor: {capability[1]} }} "
        "registers_per_core_limit: 65536 registers_per_block_limit: 65536 } "
        'platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } runtime_version { major: 12 minor: 8 } '
        f'device_description_str: "{name}"'
    )
    return Chip(
        "cuda", memory, bandwidth, tf32, {"default": 1, "high": 1, "highest": tf32 / float32, "float32": tf32 / float32}, target
    )


CHIPS = {
    "v5e": Chip("tpu", 15.75 * 2**30, 819e9, 197e12, TPU_PASSES),
    "v5p": Chip("tpu", 95 * 2**30, 2765e9, 459e12, TPU_PASSES),
    "v6e": Chip("tpu", 31.25 * 2**30, 1640e9, 918e12, TPU_PASSES),
    "T4": _gpu("Tesla T4", 15 * 2**30, 320e9, 8.1e12, 8.1e12, (7, 5), 40, 1.59),
    "A100": _gpu("NVIDIA A100", 40 * 2**30, 1555e9, 156e12, 19.5e12, (8, 0), 108, 1.41),
    "H100": _gpu("NVIDIA H100", 80 * 2**30, 3350e9, 494e12, 67e12, (9, 0), 132, 1.98),
}


def parse(topology: str) -> tuple[str, tuple[int, ...]]:
    """Chip and shape: ("v5e", (2, 4)) of "v5e:2x4"; a name alone is one chip.

    Raises:
      ValueError: an unknown chip, or a shape that is not sizes joined by x.
    """
    name, _, shape = topology.partition(":")
    if name not in CHIPS:
        raise ValueError(
            f"topology '{topology}' names no chip known here; choose from {sorted(CHIPS)}, e.g. v5e:16x16 or A100:8."
        )
    try:
        sizes = tuple(int(n) for n in shape.split("x")) if shape else (1, 1)
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1 or math.prod(sizes) > 4096:
        raise ValueError(f"topology '{topology}' must be a chip and its shape, e.g. v5e:2x4, v5p:2x2x1 or A100:8.")
    return name, sizes


def devices(topology: str) -> list[Any]:
    """Descriptions of the devices, from the chip's own compiler. To be called in a process that may die of it.

    Raises:
      ModuleNotFoundError: the compiler is not installed.
    """
    from jax.experimental import topologies

    name, sizes = parse(topology)
    if CHIPS[name].platform == "cuda":
        shape = f"1x{math.prod(sizes)}x1"
        return topologies.get_topology_desc(platform="cuda", target_config=CHIPS[name].target, topology=shape).devices
    sizes = (*sizes, *(1,) * ((3 if name == "v5p" else 2) - len(sizes)))
    alone = {"chips_per_host_bounds": (1, 1, 1)} if math.prod(sizes) == 1 else {}
    return topologies.get_topology_desc(platform="tpu", topology_name=f"{name}:{'x'.join(map(str, sizes))}", **alone).devices
