"""The machine: which devices there are, and how many bytes and how wide a block they can take."""

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxscale.engine.machine.limits import cores, free_bytes

CPU_WIDTH, ACCELERATOR_WIDTH = 16, 256


def use_all_cores() -> bool:
    """Make every CPU core a device of JAX, and start its back end; return whether that is so now.

    The first sweep does this. It does nothing once a back end runs, or when the user has chosen the number of devices.
    XLA's CPU loops are single-threaded, so lanes sharded over the cores are what uses them. The host thread pool gets twice
    as many threads as there are devices: with one each, an operation that asks the pool for help (a batch of 32 SVDs did)
    waits for ever once every thread is running a device.
    """
    chosen = jax.config.jax_num_cpu_devices > 0 or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen:
        try:
            jax.config.update("jax_num_cpu_devices", cores())
        except RuntimeError:  # the back end has started
            return _cpu_devices() >= cores()
    with _threads(2 * max(cores(), jax.config.jax_num_cpu_devices)):
        return _cpu_devices() >= cores()


def _cpu_devices() -> int:
    """Return how many devices of this process are CPU cores, starting the back end if none runs."""
    try:
        return jax.local_device_count("cpu")
    except RuntimeError:  # JAX_PLATFORMS names others only
        return 0


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let a back end that starts inside have so many host threads; it reads the environment, which children inherit later."""
    before = os.environ.get("PJRT_NPROC")
    os.environ["PJRT_NPROC"] = before or str(count)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PJRT_NPROC", None)


def cpu_level() -> int:
    """Return XLA's optimisation level for programs on a CPU: the first, unless XLA_FLAGS name another.

    Programs ran as fast as at the third, and compiled in three quarters of the time.
    """
    named = re.findall(r"xla_backend_optimization_level=(\d)", os.environ.get("XLA_FLAGS", ""))
    return int(named[-1]) if named else 1


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device or the host ran out of memory."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and ("RESOURCE_EXHAUSTED" in text or "Out of memory" in text)
    )


def check_devices(devices: Any) -> tuple[Any, ...]:
    """Return the devices asked for, or all of this process.

    Raises:
      TypeError, ValueError: not devices, or devices of several kinds.
    """
    if devices is None:
        use_all_cores()
        devices = jax.local_devices()
    used = tuple(devices) if isinstance(devices, list | tuple) else (devices,)
    if not used or not all(isinstance(d, jax.Device) for d in used):
        raise TypeError(f"devices must be JAX devices, e.g. jax.devices()[:1]; got {devices!r}.")
    if len(kinds := {d.device_kind for d in used}) > 1:
        raise ValueError(f"devices must be of one kind, since bits depend on it; got {sorted(kinds)}.")
    return used


def note_idle_cores(devices: list[Any]) -> None:
    """Warn when JAX had started before a sweep could claim the cores."""
    if devices[0].platform == "cpu" and len(jax.devices("cpu")) == 1 < cores() and jax.config.jax_num_cpu_devices < 1:
        warnings.warn(
            f"JAX's back end had started before the first sweep, so 1 of {cores()} CPU cores will be used. Call "
            f"js.use_all_cores() before anything else runs on JAX, or set JAX_NUM_CPU_DEVICES={cores()}.",
            stacklevel=3,
        )


def cache_bytes() -> int:
    """Return the second-level cache of one core, in bytes; 512 KiB where the system does not say."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text().strip()
        return int(text.rstrip("K")) * 1024
    except (OSError, ValueError):
        return 512 * 1024


def memory_bytes(devices: list[Any]) -> int:
    """Return the bytes that one device may use: 80 % of an accelerator's memory, or half of the host memory that `limits`
    leaves, split over its cores.
    """
    stats = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(0.8 * stats["bytes_limit"])
    return free_bytes() // 2 // len(devices)


def block_width(operand_bytes: int, platform: str) -> int:
    """Return the lanes per block: a power of two that depends on the program and the machine only, never on how many lanes
    there are.

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
