# Needs Python >= 3.11, pip and make, nothing else. PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV ?= .venv
COLAB ?= .venv-colab
RUN = $(VENV)/bin/python
JOBS ?= 2

.PHONY: demo test test-cold slow mutants lint types test-colab bench calibration gallery notebooks stubs clean

# The (B, eta) diagram of SGD noise with its exponents, T_c on real digits, and the (alpha, T) plane of their test error.
demo: $(VENV)/.ready
	$(VENV)/bin/jaxscale run sgd_noise --scale laptop --out runs/demo --resume
	$(VENV)/bin/jaxscale run critical_temperature --scale laptop --out runs/demo-critical --resume
	$(VENV)/bin/jaxscale run sgd_regimes --scale laptop --out runs/demo-regimes --resume

test: $(VENV)/.ready
	$(RUN) -m pytest -n $(JOBS)

# The same with nothing compiled yet, as on a new machine, and the thirty slowest tests.
test-cold: $(VENV)/.ready
	folder=$$(mktemp -d) && JAX_COMPILATION_CACHE_DIR=$$folder XDG_CACHE_HOME=$$folder \
	  $(RUN) -m pytest -n $(JOBS) --durations=30 --durations-min=1; code=$$?; rm -rf $$folder; exit $$code

slow: $(VENV)/.ready
	JAXSCALE_TEST_LEVEL=1 $(RUN) -m pytest -n $(JOBS) -m slow

# Bugs planted in a copy of the tree, and the share of them that the tests notice.
mutants: $(VENV)/.ready
	$(RUN) tests/mutants/run.py --jobs $(JOBS)

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .

types: $(VENV)/.ready
	$(VENV)/bin/mypy

# The smoke tests with the versions Colab ships.
test-colab: $(COLAB)/.ready
	$(COLAB)/bin/python -m pytest -n $(JOBS) -m smoke

bench: $(VENV)/.ready
	$(RUN) -m pip install --quiet --editable '.[bench]'
	$(RUN) benchmarks/imports.py
	$(RUN) benchmarks/perceptron.py
	$(RUN) benchmarks/images.py
	$(RUN) benchmarks/sensing.py
	$(RUN) benchmarks/engine.py
	$(RUN) benchmarks/fits.py
	$(RUN) benchmarks/collapse.py
	$(RUN) benchmarks/adaptive.py
	$(RUN) benchmarks/language.py

# How often intervals hold the truth, for every estimator: docs/calibration.md.
calibration: $(VENV)/.ready
	$(RUN) benchmarks/calibration.py --write

# Every study at laptop scale, hours on two cores; going on where it stopped. Figures and claims go to docs/gallery, to commit.
gallery: $(VENV)/.ready
	$(VENV)/bin/jaxscale gallery

# Notebooks are written as percent scripts and committed as .ipynb, which is what Colab opens.
notebooks: $(VENV)/.ready
	$(VENV)/bin/jupytext --to ipynb notebooks/*.py

# What type checkers read of the packages that hand their names on lazily.
stubs: $(VENV)/.ready
	$(RUN) tests/stubs.py

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

$(COLAB)/.ready: pyproject.toml
	$(PYTHON) -m venv $(COLAB)
	$(COLAB)/bin/python -m pip install --quiet --upgrade pip
	$(COLAB)/bin/python -m pip install --quiet 'jax==0.7.2' 'jaxlib==0.7.2' 'flax==0.11.2' 'optax==0.2.8' 'chex==0.1.90' \
	  'numpy==2.1.3' pytest pytest-xdist hypothesis --editable '.[plot,data]'
	touch $@

clean:
	rm -rf $(VENV) $(COLAB) runs
