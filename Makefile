# Every target sets up by itself: a virtual environment in .venv, dependencies, the compiled build.
# Needed beforehand: Python 3.11 or newer, make, and gcc for the compiled form (without it everything runs interpreted).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HAS_CC := $(shell command -v $${CC:-cc} 2>/dev/null)
# The form that an install must have here. 40 times slower, but complete, without a compiler.
FORM := $(if $(HAS_CC),compiled,interpreted)
# Floors whose tests also run interpreted when the compiled form is what is installed.
HOT := $(wildcard tests/bits tests/vocab tests/arch tests/mech tests/record tests/sim tests/check tests/parity)

SOURCES := $(shell find src bench -type f ! -name '*.py[co]' ! -path '*.egg-info/*' | LC_ALL=C sort)
SAVED := $(shell cat $(VENV)/.sources 2>/dev/null)

.PHONY: help demo test bench lint pages validation whatif-score judge-rates pictures shots mutants clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    install, and simulate the host of the mail under every delivery mechanism"
	@echo "make test    install compiled, run all tests, and those of the hot floors interpreted as well"
	@echo "make bench   measure the engine against C and SimPy"
	@echo "make lint    ruff and mypy"
	@echo "make pages   write docs/vocabulary.md, docs/coverage.md and docs/properties.md from the source"
	@echo "make validation  write docs/validation.md: netperf's published counts, and replays, beside ours"
	@echo "make whatif-score  write docs/whatif-score.md: predictions against published pairs, simulations and recordings"
	@echo "make judge-rates  write docs/judge-rates.md: how many faults put into recordings the judge finds"
	@echo "make pictures  draw docs/pictures anew"
	@echo "make shots   photograph the workbench into docs/shots (needs chromium and chromedriver)"
	@echo "make mutants  change the rules of arch one place at a time, and count how often a test notices; PART=x86: one folder"
	@echo "make clean   remove what the build and the tools made"

demo: $(VENV)/.installed
	$(BIN)/exitless --version
	$(BIN)/exitless run mail

# The compiled run comes last and covers everything; pytest's line about it is the last line of this target.
test: $(VENV)/.form-$(FORM)
ifeq ($(FORM),compiled)
	EXITLESS_FORM=interpreted PYTHONPATH=src $(BIN)/python -m pytest $(HOT)
	EXITLESS_FORM=compiled $(BIN)/python -m pytest
else
	EXITLESS_FORM=interpreted PYTHONPATH=src $(BIN)/python -m pytest
endif

bench: $(VENV)/.form-$(FORM)
	$(BIN)/exitless bench

lint: $(VENV)/.linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

pages: $(VENV)/.installed
	PYTHONPATH=src $(BIN)/python -m tools.pages

validation: $(VENV)/.form-$(FORM)
	$(BIN)/python -m tools.validation

whatif-score: $(VENV)/.form-$(FORM)
	$(BIN)/python -m tools.whatif_score

judge-rates: $(VENV)/.installed
	PYTHONPATH=src:tests $(BIN)/python -m tools.judged

# One interrupt whose handler another device's interrupt cuts in two, and below it one that meets the same on a port.
PICTURE := show mail --length "60 ms" --mechanism vtd-posted --mechanism pvhvm --source nic --nth 596
pictures: $(VENV)/.installed
	@mkdir -p docs/pictures
	$(BIN)/exitless $(PICTURE) --svg docs/pictures/mail-vtd-posted.svg
	$(BIN)/exitless $(PICTURE) --svg docs/pictures/mail-vtd-posted-dark.svg --theme dark

# Compiled: the redraw time in the pictures is that of the installed form.
shots: $(VENV)/.installed
	$(BIN)/python -m tools.shots

# An environment of its own without Exitless in it: a compiled package would hide the sources that are changed.
MUTANTS := .venv-mutants
PART :=
mutants: $(MUTANTS)/.installed
	$(if $(PART),,rm -rf mutants)
	nice -n 19 $(MUTANTS)/bin/mutmut run --max-children 2 $(if $(PART),"exitless.arch.$(subst /,.,$(PART:.py=)).*")
	$(MUTANTS)/bin/python -m tools.mutants $(if $(PART),--keep $(PART))

clean:
	rm -rf $(VENV) $(MUTANTS) mutants build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- set-up: each stamp stands for one finished step ------------------------------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Exitless needs Python 3.11 or newer; $(PYTHON) is older. Say which to take: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) has no venv module (on Debian: apt-get install python3-venv)"; exit 1; }
	touch $@

$(VENV)/.linters: pyproject.toml $(VENV)/.created
	$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["lint"], sep="\n")' > $(VENV)/lint.txt
	$(BIN)/python -m pip install --quiet -r $(VENV)/lint.txt
	touch $@

$(MUTANTS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(MUTANTS)
	$(MUTANTS)/bin/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["mutation"], sep="\n")' > $(MUTANTS)/mutation.txt
	$(MUTANTS)/bin/python -m pip install --quiet -r $(MUTANTS)/mutation.txt
	touch $@

# A file that came or went changes this list, and a change of the list is a change of the sources.
ifneq ($(SOURCES),$(SAVED))
.PHONY: $(VENV)/.sources
endif
$(VENV)/.sources: $(VENV)/.created
	@echo "$(SOURCES)" > $@

$(VENV)/.installed: $(SOURCES) $(VENV)/.sources setup.py pyproject.toml README.md
	@echo "installing Exitless in $(VENV) (compiling takes about two minutes)"
	$(BIN)/python -m pip install --quiet '.[test]'
	@$(BIN)/exitless --version
	touch $@

# An install that had to settle for less than this machine can do is done again, aloud.
$(VENV)/.form-compiled: $(VENV)/.installed
	@cd $(VENV) && bin/python -c 'import sys, exitless; sys.exit(not exitless.compiled())' || \
	  (cd .. && EXITLESS_COMPILE=1 $(BIN)/python -m pip install --no-deps --force-reinstall -v .)
	touch $@

$(VENV)/.form-interpreted: $(VENV)/.installed
	touch $@
