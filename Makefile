# `make results/...` and `make test` set up what is missing; the rest is Snakemake's and pytest's.
#
#   CORES=8          cores Snakemake may use (all by default)
#   PROFILE=...      another profile, e.g. profiles/slurm
#   PYTHON=python3   the Python (3.11 or later) the environment is made from
#   TORCH_INDEX=URL  a package index with CPU builds of torch, see docs/install.md

PYTHON ?= python3
CORES ?= all
VENV := .venv
SNAKEMAKE := $(VENV)/bin/snakemake --cores $(CORES) $(if $(PROFILE),--workflow-profile $(PROFILE))
PYTEST := $(VENV)/bin/python -m pytest -n 2 --dist worksteal

.PHONY: FORCE all new setup setup-slurm setup-test test test-slow format clean
.DEFAULT_GOAL := all

all: setup
	$(SNAKEMAKE)

# Snakemake alone knows what is up to date, so it is always asked.
results/%: setup FORCE
	$(SNAKEMAKE) $@

# A commented configuration for a project of one's own, config/<name>.yaml: make new NAME=nepali LANGUAGE=ne
new: setup
	@$(VENV)/bin/python -m kalam.configuration.new_project "$(NAME)" "$(LANGUAGE)"

setup: $(VENV)/ready

setup-test: $(VENV)/ready-test

$(VENV)/ready: requirements.txt constraints.txt envs/setup.sh
	PYTHON=$(PYTHON) bash envs/setup.sh $(VENV)

# What profiles/slurm needs, see docs/cluster.md.
setup-slurm: $(VENV)/ready
	$(VENV)/bin/python -m pip install --quiet -r requirements-slurm.txt -c constraints.txt

$(VENV)/ready-test: $(VENV)/ready requirements-test.txt requirements-slurm.txt
	$(VENV)/bin/python -m pip install --quiet -r requirements-test.txt -c constraints.txt
	$(PYTHON) -m venv $(VENV)/snakefmt
	$(VENV)/snakefmt/bin/pip install --quiet snakefmt==2.1.0
	touch $@

test: setup-test
	$(PYTEST) -m "not slow"

test-slow: setup-test
	$(PYTEST) -m slow

format: setup-test
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	$(VENV)/snakefmt/bin/snakefmt Snakefile rules

config/README.md: setup FORCE
	$(VENV)/bin/python -m kalam.configuration.documentation config/schema.yaml > $@

# The picture in the README; needs graphviz (Debian: apt-get install graphviz).
docs/dag.svg: setup FORCE
	$(SNAKEMAKE) --rulegraph dot results/bangla/ppl.txt | sed 's/graph\[/graph[rankdir=LR, /' | dot -Tsvg > $@

# What can be made again; `checkpoints/` holds trainings and stays, and so does the build of llama.cpp (`results/.tools`).
clean:
	test ! -d results || find results -mindepth 1 -maxdepth 1 ! -name .tools -exec rm -rf {} +
	rm -rf logs .snakemake
