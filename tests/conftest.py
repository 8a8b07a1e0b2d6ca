"""Strict where the libraries allow it: four virtual CPU devices, no implicit rank promotion, cheap compiles."""

import os

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# most of a test's time is compiling: the cheap back end cut a language model from 14 s to 2.6 s
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402
import pytest  # noqa: E402

import jaxscale  # noqa: E402, F401  (claims the devices before any test starts the backend)

jax.config.update("jax_numpy_rank_promotion", "raise")
# dtype promotion stays standard: optax.adam itself adds int32 counts to floats


@pytest.fixture(scope="session")
def devices():
    """The four virtual devices."""
    found = jax.devices()
    assert len(found) == 4, f"tests need 4 virtual CPU devices; got {len(found)}"
    return found


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
