# The commands a contributor learns: make up, make test, make test-slow, make check, make bench; whoever works on the engine also
# make bench-engine, which takes ARGS="tutorial peak lite recipes" or some of these.

# uv installs Python packages; where it is missing it is put into .tools, touching nothing else on the machine.
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
ARGS ?=

# PYTHON=3.13, after any of these, runs it with that Python (pyenv's, too), in an environment of its own.
PYTHON :=
VENV := .venv$(PYTHON:%=-%)
ifdef PYTHON
export UV_PYTHON := $(PYTHON)
export PYENV_VERSION := $(PYTHON)
endif
# Without it, each of the hundreds of processes that the tests start would compile the project for itself.
unexport PYTHONDONTWRITEBYTECODE
SYNC := UV_PROJECT_ENVIRONMENT=$(VENV) $(UV) sync --quiet --locked --extra stack

# Further extras of pyproject.toml: make up EXTRAS="tracing c2pa".
EXTRAS ?=

.PHONY: up test test-slow test-lowest test-compose test-containers check bench chaos soak fuzz mutants settings command-line openapi licenses sbom pictures docs

up: | $(UV)
	$(SYNC) $(EXTRAS:%=--extra %) --no-dev --inexact
	@$(VENV)/bin/artdream up $(ARGS)

# What is run before a commit, and the rest: together they are all tests.
test: $(VENV)/dev
	$(VENV)/bin/pytest -m "not slow" $(ARGS)

test-slow: $(VENV)/dev
	$(VENV)/bin/pytest -m slow $(ARGS)

# The tests, with the lowest versions that pyproject.toml admits of all that it names, on the lowest Python.
test-lowest: .venv-lowest/dev
	.venv-lowest/bin/pytest -m "not slow" $(ARGS)

# Builds the images, and breaks an evening in containers: the first part of what follows, in some minutes.
test-compose: $(VENV)/dev
	ARTDREAM_CONTAINERS=1 $(VENV)/bin/pytest tests/deploy/test_containers.py $(ARGS)

# Builds the images and breaks an evening in containers; boots a Debian with systemd, installs a VM's parts on it and breaks
# those; then dreams on three hosts. Needs Docker's engine, root, debootstrap and slirp4netns, and half an hour.
test-containers: $(VENV)/dev
	ARTDREAM_CONTAINERS=1 $(VENV)/bin/pytest tests/deploy/test_containers.py tests/deploy/test_vm_under_systemd.py \
	  tests/deploy/test_three_hosts.py $(ARGS)

# What is checked for spelling and wording.
PROSE := *.md docs artdream producer worker display shared deploy tools benchmarks

check: $(VENV)/dev node_modules
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell $(PROSE)
	$(VENV)/bin/python -m tools.wording $(PROSE) display/i18n/en.toml tests
	npm run --silent check
	$(UV) lock --check --quiet
	$(VENV)/bin/python -m shared.settings | diff - .env.example
	$(VENV)/bin/python -m tools.settings_reference | diff - docs/settings.md
	$(VENV)/bin/python -m tools.event_reference | diff - docs/event.md
	$(VENV)/bin/python -m tools.command_line | diff - docs/command-line.md
	$(VENV)/bin/python -m tools.openapi | diff - docs/openapi.json
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict --site-dir $(VENV)/site
	$(VENV)/bin/hadolint deploy/Dockerfile
	ARTDREAM_BROKER_PASSWORD=- ARTDREAM_STORE_SECRET=- ARTDREAM_TLS=- ARTDREAM_STORE_URL=- AWS_REGION=- \
	  AWS_ACCESS_KEY_ID=- AWS_SECRET_ACCESS_KEY=- $(VENV)/bin/docker-compose --env-file /dev/null \
	  --file docker-compose.yml --file deploy/compose.gpu.yml --file deploy/compose.tls.yml \
	  --file deploy/compose.bucket.yml --profile '*' config --quiet
	$(VENV)/bin/python .ci/audit.py $(UV)

# Hostile files through the real intake; ARGS="FOLDER --count N" damages real pictures too.
fuzz: $(VENV)/dev
	$(VENV)/bin/python -m benchmarks.fuzz $(ARGS)

bench: $(VENV)/dev
	$(VENV)/bin/python -m benchmarks.latency $(ARGS)

# bench-engine, bench-intake, bench-display, bench-scale, …: each measures a part.
bench-%: $(VENV)/dev
	$(VENV)/bin/python -m benchmarks.$* $(ARGS)

# Everything breaks, and every photo must end once: 300 jobs and 60 faults, or, with ARGS="--minutes 30", half an hour of them.
chaos: $(VENV)/dev
	$(VENV)/bin/python -m tests.fault.chaos $(ARGS)

# Photos at a steady rate for half an hour: nothing that a component uses may grow with them.
soak: $(VENV)/dev
	$(VENV)/bin/python -m tests.fault.soak $(ARGS)

# Changes the core in small ways and reports which changes no test notices; resumes where it was stopped.
# ARGS="'shared.jobs.*'" tests a part.
mutants: $(VENV)/dev
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/mutmut run --max-children 2 $(ARGS)
	$(VENV)/bin/mutmut results | sed '/: caught by type check$$/d'

# What is generated from the code: the example settings, the references of the command line and of the HTTP API, and the README's
# pictures.
settings: $(VENV)/dev
	$(VENV)/bin/python -m shared.settings > .env.example
	$(VENV)/bin/python -m tools.settings_reference > docs/settings.md
	$(VENV)/bin/python -m tools.event_reference > docs/event.md

command-line: $(VENV)/dev
	$(VENV)/bin/python -m tools.command_line > docs/command-line.md

openapi: $(VENV)/dev
	$(VENV)/bin/python -m tools.openapi > docs/openapi.json

licenses: $(VENV)/dev
	$(VENV)/bin/python -m tools.licenses > docs/licenses.md

# A bill of materials of each extra, in the format CycloneDX.
sbom: $(VENV)/dev
	$(VENV)/bin/python -m tools.sbom $(UV) dist/sbom

pictures: $(VENV)/dev
	$(VENV)/bin/python -m benchmarks.pictures $(ARGS)

# The documentation as a site, in the folder site/.
docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

# Compiled here once: where the environment forbids writing bytecode, each of the tests' processes would do it again.
$(VENV)/dev: pyproject.toml uv.lock | $(UV)
	$(SYNC) --extra train --compile-bytecode
	@touch $@

.venv-lowest/dev: pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python 3.11 $(@D)
	$(UV) pip install --quiet --python $(@D) --resolution lowest-direct --compile-bytecode --group dev --editable ".[stack,train]"
	@touch $@

# ESLint and TypeScript, which check what the browser runs. Nothing that a package brings is executed here.
node_modules: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# Debian's python3 has no pip, and no venv either without the package python3-venv.
.tools/bin/uv: export PIP_ROOT_USER_ACTION := ignore
.tools/bin/uv: export PIP_DISABLE_PIP_VERSION_CHECK := 1
.tools/bin/uv:
	@if python3 -m pip --version >/dev/null 2>&1; then \
	  python3 -m pip install --quiet --target .tools uv; \
	elif python3 -m venv .tools/python >/dev/null 2>&1; then \
	  .tools/python/bin/python -m pip install --quiet uv && mkdir -p .tools/bin && ln -sfn ../python/bin/uv $@; \
	else \
	  rm -rf .tools/python; \
	  echo "To install uv, Python needs pip or venv: on Debian and Ubuntu, apt install python3-venv." >&2; exit 1; \
	fi
