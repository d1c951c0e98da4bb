# One command each, on a fresh machine: everything they need is installed by them, into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: demo test test-slow check format docs clean

.venv/ready: pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs]'
	touch $@

demo: .venv/ready
	$(BIN)/python -m pipeline.render examples/demo.yaml

test: .venv/ready
	$(PYTEST) -n 2

test-slow: .venv/ready
	.ci/browser
	$(PYTEST) -m 'slow and not ray_alone and not soak' -k 'not golden'
	# Ray's autoscaler adds and removes machines; nothing else of Ray runs beside it.
	$(PYTEST) -m ray_alone
	# In a process of their own: the networks at full width hold 10 GB, which Ray beside them may need.
	$(PYTEST) -m 'slow and not ray_alone and not soak' -k golden

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A site with a search, in build/docs; tests/docs builds it as well.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf out build .pytest_cache .mypy_cache .ruff_cache
