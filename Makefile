# A thin front: the presets of CMakePresets.json and the scripts do the work. `make help` lists it.

FOLDERS := include common kernels variants datasets reports lib harness
SOURCES := $(shell find $(FOLDERS) tests -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')
TIDY    := $(shell find $(FOLDERS) -name '*.c')
SCRIPTS := .ci/run scripts/setup scripts/bench scripts/test scripts/test-python scripts/check-gpu \
           scripts/lib.sh scripts/nsight.sh scripts/nsight-capture scripts/ncu-capture \
           scripts/compare-revisions \
           $(shell find tests -name '*.sh') $(wildcard tests/fuzz/run tests/fuzz/campaign)
prefix ?= /usr/local

.PHONY: all help setup check check-gpu check-python asan ubsan tsan fuzz format format-check tidy shellcheck \
        docs bench-smoke readme-tables install clean

all: ## build the instrument (preset release)
	@cmake --preset release >/dev/null
	@cmake --build --preset release

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup: ## install what is needed (Debian 12)
	@scripts/setup

check: ## every test that needs no GPU
	@scripts/test

check-gpu: ## what only a GPU can check: matrix, compute-sanitizer, test programs
	@scripts/check-gpu

check-python: ## the Python package: its wheel, and its tests with PyTorch
	@scripts/test-python

asan: ## every test under AddressSanitizer and UBSan
	@scripts/test --asan

ubsan: ## every test under UBSan
	@scripts/test --ubsan

tsan: ## the tests that run threads under ThreadSanitizer
	@scripts/test --tsan

fuzz: ## each reader's fuzz target for a minute
	@scripts/test --fuzz

format: ## clang-format every source in place
	@clang-format -i $(SOURCES)

format-check: ## fail where clang-format would change a line
	@clang-format --dry-run -Werror $(SOURCES)

# The ci preset's compile commands are what clang-tidy reads.
tidy: ## clang-tidy every C file of the product
	@test -e build/ci/compile_commands.json || cmake --preset ci >/dev/null
	@printf '%s\n' $(TIDY) | xargs -P 2 -n 4 clang-tidy --quiet -p build/ci 2>/dev/null

shellcheck: ## shellcheck every shell script
	@shellcheck -x -P SCRIPTDIR $(SCRIPTS)

docs: ## the man page and completions, under build/release/share
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target docs_man

bench-smoke: ## the whole instrument on a small case
	@scripts/bench --variant csr --model random:256x512 --batch 1

readme-tables: ## write the tables of README and docs from the committed results
	@scripts/readme-tables

install: all ## install under $(prefix)
	@cmake --install build/release --prefix "$(prefix)"

clean: ## remove everything that was built
	@rm -rf build
