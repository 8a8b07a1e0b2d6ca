"""A guest that changes nothing: what importing and using jaxscale does to the program around it, each in its own process."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jaxscale.engine.machine import cache

TINY_SWEEP = """
import jax, jax.numpy as jnp
import jaxscale as js

@js.record
class Count:
    gain: float
    def sample(self, key): return ()
    def init(self, key, data): return jnp.zeros(())
    def step(self, key, state, data): return state + self.gain
    def observe(self, state, data): return {"x": state}

def sweep(**more):
    return js.sweep(lambda gain: Count(gain=gain), grid={"gain": [1.0]}, seeds=4, times=[0, 3], progress=False, **more)
"""


def run(code, tmp_path, before="", **environment):
    """Run a program as a user's, without what the tests set: its own home, JAX as it comes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX", "XLA", "XDG", "PJRT", "PYTEST"))}
    kept |= {"HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"} | environment
    code = textwrap.dedent(before) + TINY_SWEEP + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], env=kept, cwd=tmp_path, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_importing_changes_nothing(tmp_path):
    assert run(
        """
        assert jax.config.values == options, {k: v for k, v in jax.config.values.items() if options[k] != v}
        assert dict(os.environ) == environment
        jax.config.update("jax_num_cpu_devices", 3)  # an error once a back end has started
        print(jax.device_count(), sorted(os.listdir()))
        """,
        tmp_path,
        before="""
        import os, jax
        options, environment = dict(jax.config.values), dict(os.environ)
        import jaxscale
        [getattr(jaxscale, name) for name in jaxscale.__all__]
        """,
    ) == "3 []"  # fmt: skip


def test_a_sweep_claims_the_cores_and_leaves_the_environment(tmp_path):
    out = run(
        """
        import os
        environment = dict(os.environ)
        sweep()
        assert dict(os.environ) == environment and jax.config.jax_compilation_cache_dir is None
        print(jax.device_count() == len(os.sched_getaffinity(0)), js.use_all_cores())
        """,
        tmp_path,
    )
    assert out == "True True"


def test_a_back_end_that_runs_is_left_alone_and_said(tmp_path):
    out = run(
        """
        import os, warnings
        jax.devices()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sweep()
        said = [str(w.message) for w in caught if "js.use_all_cores()" in str(w.message)]
        print(jax.device_count(), len(said) == (len(os.sched_getaffinity(0)) > 1))
        """,
        tmp_path,
    )
    assert out == "1 True"


def test_inside_a_numpyro_program(tmp_path):
    """It sets the number of devices after everything is imported."""
    pytest.importorskip("numpyro")
    out = run(
        """
        import numpyro
        numpyro.set_host_device_count(3)
        print(jax.device_count(), sweep().sizes["seed"])
        """,
        tmp_path,
    )
    assert out == "3 4"


def test_inside_a_flax_program(tmp_path):
    """It trains by itself before and after a sweep, to the same bits as without one, and none of its programs is kept by us."""
    code = """
    import flax.linen as nn, optax, numpy as np, os
    import jax.flatten_util
    js.use_all_cores()
    model = nn.Dense(1)
    x = jnp.arange(12.0).reshape(6, 2)
    params, tx = model.init(jax.random.key(0), x), optax.adam(0.1)
    memory = tx.init(params)
    @jax.jit
    def step(params, memory):
        grads = jax.grad(lambda p: jnp.mean((model.apply(p, x) - 1) ** 2))(params)
        updates, memory = tx.update(grads, memory)
        return optax.apply_updates(params, updates), memory
    for i in range(5):
        params, memory = step(params, memory)
        BETWEEN
    programs = [name for folder, _, names in os.walk(os.environ["HOME"]) for name in names if name.endswith("-cache")]
    print(np.asarray(jax.flatten_util.ravel_pytree(params)[0]).tobytes().hex(), any("jit_step" in name for name in programs))
    """
    threshold = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    alone, beside = (run(code.replace("BETWEEN", what), tmp_path, **threshold) for what in ("pass", "i == 2 and sweep()"))
    assert alone == beside and alone.endswith("False")


def test_inside_a_program_with_its_own_cache(tmp_path):
    out = run(
        """
        import os
        jax.config.update("jax_compilation_cache_dir", "mine")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        sweep()
        jax.jit(lambda x: jnp.sin(x) * 3)(1.0)
        mine = [name for name in os.listdir("mine") if name.endswith("-cache")]
        print(jax.config.jax_compilation_cache_dir, len(mine) > 2, os.path.exists(".cache/jaxscale"))
        """,
        tmp_path,
    )
    assert out == "mine True False"


def test_what_is_compiled_by_us_is_found_by_the_next_process(tmp_path):
    code = """
    import os
    sweep()
    jax.jit(lambda x: jnp.sin(x) * 3)(1.0)  # the program's own: not in our folder
    names = os.listdir(".cache/jaxscale/xla")
    print(sum(name.endswith("-cache") for name in names), any("lambda" in name for name in names))
    """
    first, second = run(code, tmp_path), run(code, tmp_path)
    assert first == second and first.endswith("False") and int(first.split()[0]) >= 2


@pytest.mark.parametrize("home", ["gone", "file"])
def test_without_a_home(tmp_path, home):
    (tmp_path / "file").write_text("")
    assert run("print(sweep().sizes['seed'])", tmp_path, HOME=str(tmp_path / home / "below")) == "4"
    assert not (tmp_path / "gone").exists() or home == "gone"


def test_no_home_at_all(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert cache.own_folder() is None and not cache.usable(None)


@pytest.mark.parametrize("mode", [0o777, 0o722, 0o770])
def test_a_folder_that_others_can_write_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.warns(UserWarning, match="can be written by another user, and what lies in it would be run.*chmod 700"):
        assert not cache.usable(tmp_path)
    tmp_path.chmod(0o700)
    cache.usable.cache_clear()
    assert cache.usable(tmp_path)


def test_the_oldest_programs_go_first(tmp_path):
    for i in range(6):
        (tmp_path / f"p{i}-cache").write_bytes(bytes(100))
        (tmp_path / f"p{i}-atime").write_bytes(bytes(8))
        os.utime(tmp_path / f"p{i}-cache", (time.time() - 60 + i,) * 2)
    (tmp_path / "somebody's").write_bytes(bytes(1000))
    assert cache.trim(tmp_path, 350) == 3 and cache.trim(tmp_path, 350) == 0
    assert sorted(file.name for file in tmp_path.glob("*-cache")) == ["p3-cache", "p4-cache", "p5-cache"]
    assert len(list(tmp_path.glob("*-atime"))) == 3 and (tmp_path / "somebody's").exists()
    assert cache.trim(tmp_path / "nowhere", 0) == 0


@pytest.mark.parametrize("arguments, code", [(["--help"], 0), (["--version"], 0), (["stduies"], 2), (["run", "--help"], 0)])
def test_the_command_line_answers_without_jax(arguments, code):
    script = (
        "import sys\nfrom jaxscale.cli import main\n"
        f"try: code = main({arguments})\nexcept SystemExit as stop: code = stop.code\n"
        "print([m for m in ('jax', 'numpy', 'scipy', 'flax') if m in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().splitlines()[-1] == f"[] {code}", done.stderr


def test_version_can_be_pasted_into_an_issue(capsys):
    from jaxscale.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    out = capsys.readouterr().out
    assert stop.value.code == 0 and "jaxscale 0.1" in out and "jax 0." in out and "CPU core" in out


def test_a_reader_that_has_read_enough_is_no_error(tmp_path):
    command = f"{sys.executable} -m jaxscale.cli laws | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stderr == "" and done.stdout.splitlines()[-1] == "0"


def test_the_cache_is_shown_and_emptied(tmp_path, monkeypatch, capsys):
    from jaxscale.cli import main

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["cache"]) == 0 and "no compiled program is kept" in capsys.readouterr().out
    (tmp_path / "jaxscale" / "xla").mkdir(parents=True)
    (tmp_path / "jaxscale" / "xla" / "p-cache").write_bytes(bytes(10**6))
    assert main(["cache"]) == 0 and "1 compiled programs, 1.0 of at most 2,000 MB" in capsys.readouterr().out
    assert main(["cache", "--clear"]) == 0 and "1 removed" in capsys.readouterr().out
    assert not list((tmp_path / "jaxscale" / "xla").glob("*-cache"))
