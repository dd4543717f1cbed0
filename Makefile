# Two commands on a machine with Python 3.11 (or 3.12, 3.13) and make:
#   make demo    install, then take the synthetic family from VCF to a report
#   make test    install the test bench, then run every test
# The rest is for those who change something.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lab docs readme bench bench-diagnosis lint dev clean

VENV ?= .venv
BIN := $(VENV)/bin

# The first Python that runs and that the package supports.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$p && break; done)

# Every install is of the locked versions. The stamps make the second call quick.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint requirements.lock
RUNTIME := $(VENV)/.runtime-installed
BENCH := $(VENV)/.bench-installed

help:
	@echo "make demo    the synthetic family from VCF to report; prints where the report is"
	@echo "make test    every test: notebooks, package, templates, wheel, site"
	@echo "make lab     JupyterLab at the front door"
	@echo "make docs    the documentation site, in _docs/"
	@echo "make readme  README.md from nbs/index.ipynb"
	@echo "make bench   measure against the peers, in benchmarks/"
	@echo "make bench-diagnosis  how often published cases are solved, in benchmarks/"
	@echo "make lint    ruff and mypy"
	@echo "make dev     the hooks that keep notebooks clean in git"
	@echo "make clean   remove what these commands made, the environment apart"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 was found: install one, or say make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml requirements.lock | $(BIN)/python
	@echo "Installing genomics_nb in $(VENV); the first time this takes some minutes."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	$(PIP) --editable .
	@touch $@

$(BENCH): pyproject.toml requirements.lock | $(RUNTIME)
	@echo "Installing the test bench in $(VENV)."
	$(PIP) --editable '.[dev,peers]'
	@touch $@

demo: $(RUNTIME)
	$(BIN)/genomics-nb demo

# Templates (pilots, reports, sops) are run through papermill by pytest, which works on two files at a time.
test: $(BENCH)
	$(BIN)/nbdev_test --n_workers 2 --skip_folder_re '^[_.]|^(pilots|reports|sops)$$'
	$(BIN)/python -m pytest -n 2 --dist loadfile

lab: $(BENCH)
	$(BIN)/genomics-nb lab

# nbdev leaves hidden cells out; the title and the sentence under it become those of the page. The code of
# a module is shown: it is what there is to learn. Quarto builds the site where it is installed, smalldocs
# where it is not; both read the same _quarto.yml.
define PAGES
import json, re
from nbdev.serve import proc_nbs
for page in proc_nbs(n_workers=0).rglob("*.ipynb"):
    nb = json.loads(page.read_text(encoding="utf-8"))
    cells = [c for c in nb["cells"] if not re.match(r"#\| default_exp|<!-- WARNING", "".join(c["source"]))]
    title, quote, rest = re.match(r"# (.+)\n*((?:>.*\n?)*)\n*([\s\S]*)", "".join(cells[0]["source"])).groups()
    said = " ".join(line.lstrip("> ") for line in quote.splitlines())
    front = "".join(f"{k}: {json.dumps(v, ensure_ascii=False)}\n" for k, v in (("title", title), ("description", said)) if v)
    cells[0] |= {"source": rest}
    head = {"cell_type": "raw", "id": "front", "metadata": {}, "source": f"---\n{front}---"}
    page.write_text(json.dumps(nb | {"cells": [head, *cells]}), encoding="utf-8")
endef
export PAGES

docs: $(BENCH)
	rm -rf _proc _docs
	$(BIN)/python -c "$$PAGES"
	cp _quarto.yml _proc/
	if command -v quarto >/dev/null; then quarto render _proc --no-execute; \
	else $(BIN)/smalldocs render --quiet _proc && $(BIN)/smalldocs check _proc; fi
	mv _proc/_docs _docs
	@echo "The site is in _docs/index.html"

# A link of the front door starts from nbs/, one of the README from the root.
readme: $(BENCH)
	$(BIN)/jupyter nbconvert --log-level ERROR --to markdown nbs/index.ipynb --output-dir . --output README
	sed -E 's#\]\((library|lessons|pilots|reports|sops)/#](nbs/\1/#g' README.md > README.tmp && mv README.tmp README.md

bench: $(BENCH)
	$(BIN)/python benchmarks/run.py

bench-diagnosis: $(BENCH)
	$(BIN)/python benchmarks/diagnosis.py --write

lint: $(BENCH)
	$(BIN)/ruff check genomics_nb tests benchmarks
	$(BIN)/mypy

dev: $(BENCH)
	$(BIN)/nbdev_install_hooks

clean:
	rm -rf _proc _docs build dist runs genomics-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +
