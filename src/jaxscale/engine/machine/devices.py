"""The machine: which devices there are, and how many bytes and how wide a block they can take."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

import jax

CPU_WIDTH, ACCELERATOR_WIDTH = 16, 256


def use_cpu_cores() -> None:
    """Make every CPU core a device. Called on import; does nothing once the backend runs or when the user has chosen.

    XLA's CPU loops are single-threaded, so lanes sharded over the cores are what uses them. The host thread pool gets twice
    as many threads as there are devices: with one each, an operation that asks the pool for help (a batch of 32 SVDs did)
    waits for ever once every thread is running a device.
    """
    wanted = max(cores(), jax.config.jax_num_cpu_devices)
    os.environ.setdefault("PJRT_NPROC", str(2 * wanted))
    if jax.config.jax_num_cpu_devices > 0 or "host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", cores())
    except RuntimeError:  # the backend has started
        pass


def cpu_level() -> int:
    """XLA's optimisation level for programs on a CPU: the first, unless XLA_FLAGS name another.

    Programs ran as fast as at the third, and compiled in three quarters of the time.
    """
    named = re.findall(r"xla_backend_optimization_level=(\d)", os.environ.get("XLA_FLAGS", ""))
    return int(named[-1]) if named else 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the host ran out of memory."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and ("RESOURCE_EXHAUSTED" in text or "Out of memory" in text)
    )


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_devices(devices: Any) -> tuple[Any, ...]:
    """The devices asked for, or all of this process.

    Raises:
      TypeError, ValueError: not devices, or devices of several kinds.
    """
    found = (
        tuple(jax.local_devices()) if devices is None else tuple(devices) if isinstance(devices, list | tuple) else (devices,)
    )
    if not found or not all(isinstance(d, jax.Device) for d in found):
        raise TypeError(f"devices must be JAX devices, e.g. jax.devices()[:1]; got {devices!r}.")
    if len(kinds := {d.device_kind for d in found}) > 1:
        raise ValueError(f"devices must be of one kind, since bits depend on it; got {sorted(kinds)}.")
    return found


def note_idle_cores(devices: list[Any]) -> None:
    """Say so when JAX started before jaxscale could claim the cores."""
    if devices[0].platform == "cpu" and len(jax.devices("cpu")) == 1 < cores() and jax.config.jax_num_cpu_devices < 1:
        warnings.warn(
            f"JAX started before jaxscale was imported, so 1 of {cores()} CPU cores will be used. Import jaxscale first, "
            f"or set JAX_NUM_CPU_DEVICES={cores()}.",
            stacklevel=3,
        )


def cache_bytes() -> int:
    """Second-level cache of one core, in bytes; 512 KiB where the system does not say."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(text.rstrip("K")) * 1024
    except (OSError, ValueError):
        return 512 * 1024


def memory_bytes(devices: list[Any]) -> int:
    """Bytes one device may use: 80 % of an accelerator's memory, or half of the free host memory split over its cores."""
    stats = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(0.8 * stats["bytes_limit"])
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = 4 * 2**30
    return free // 2 // len(devices)


def block_width(operand_bytes: int, platform: str) -> int:
    """Lanes per block: a power of two that depends on the program and the machine only, never on how many lanes there are.

    On a CPU what one operation reads for all lanes of a block should stay in one core's cache: two lanes were 1.4 times
    faster than four for sensing with a megabyte each, and 16 twice as fast as 4 for minibatches of a kilobyte. Wider blocks
    pad small sweeps with idle lanes. Accelerators want width. Never 1: XLA simplifies a batch of one into a different kernel
    with different last bits.

    Args:
      operand_bytes: largest operand of one lane's step.
      platform: "cpu", "gpu" or "tpu".
    """
    if platform != "cpu":
        return ACCELERATOR_WIDTH
    fitting = max(cache_bytes() // max(operand_bytes, 1), 1)
    return int(min(max(2, 2 ** (fitting.bit_length() - 1)), CPU_WIDTH))
