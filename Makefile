# Every target sets up what it needs (.venv from the lock, the extension as a debug build) and does
# only what has changed since. PYTHON=python3.12 picks the interpreter of a new .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find src -name '*.rs')
FUZZ := target/tools/bin/cargo-fuzz
FUZZ_SECONDS ?= 60
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
IMAGE ?= europe-west1-docker.pkg.dev/my-project/dataflow/mongo-gcp-stream:$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help demo demo-beam test test-live test-heavy fuzz lint fmt bench bench-beam wheel template lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/.extension ## Stream orders from a mongod to an embedded Pub/Sub, and account for each
	$(BIN)/mongo-gcp-stream demo

demo-beam: $(VENV)/.extension ## The same by an Apache Beam pipeline on Prism
	$(BIN)/mongo-gcp-stream demo --beam

test: $(VENV)/.extension ## All tests that take seconds: Rust, Python, end to end
	MONGOD_BIN="$$($(BIN)/python -m mongo_gcp_stream.testing)" cargo test --locked
	$(BIN)/python -m tests.support.pubsub_fake
	$(BIN)/python -m tests.support.beam_runner
	$(BIN)/python -m pytest -n auto -m "not heavy and not live"

test-live: $(VENV)/.extension ## The tests that use the MongoDB named in tests/.env.test
	$(BIN)/python -m pytest -m live

test-heavy: $(VENV)/.extension wheel $(FUZZ) ## The tests that take minutes: memory, the wheel on its own, fuzzing
	$(BIN)/python -m tests.support.beam_runner
	$(BIN)/python -m tests.support.flink_server
	$(BIN)/python -m pytest -m heavy
	mkdir -p tests/fuzz/corpus/write_document
	RUSTC_BOOTSTRAP=1 $(FUZZ) run --fuzz-dir tests/fuzz write_document \
		tests/fuzz/corpus/write_document tests/fuzz/seeds/write_document -- \
		-max_total_time=$(FUZZ_SECONDS)

fuzz: $(FUZZ) ## Fuzz the whole transform for FUZZ_SECONDS; the first build takes ten minutes
	mkdir -p tests/fuzz/corpus/transform
	RUSTC_BOOTSTRAP=1 $(FUZZ) run --sanitizer none --fuzz-dir tests/fuzz --features transform \
		transform tests/fuzz/corpus/transform tests/fuzz/seeds/transform -- \
		-max_total_time=$(FUZZ_SECONDS) -max_len=8192

# pyright finds the package by the `python` on PATH.
lint: PYRIGHT = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright
lint: $(VENV)/.extension ## Formatting, clippy, ruff, mypy, pyright, and the stub against the extension
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --features python -- -D warnings
	: one TLS provider, aws-lc-rs
	tree="$$(cargo tree --locked --features python --edges normal --prefix none)" && \
		! echo "$$tree" | grep -E '^(ring|openssl-sys|native-tls) '
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYRIGHT)
	$(BIN)/stubtest --allowlist tests/stubtest.allow mongo_gcp_stream._core

fmt: $(VENV)/.locked ## Format Rust and Python
	cargo fmt --all
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(VENV)/.extension ## Measure against a plain pymongo loop on this machine
	$(BIN)/python benches/drain.py

bench-beam: $(VENV)/.extension ## Measure a Beam pipeline on Prism against `run` and Beam's own sink
	$(BIN)/python benches/beam.py

wheel: $(VENV)/.locked ## Build a manylinux wheel into dist/
	rm -rf dist
	$(BIN)/maturin build --release --locked --out dist

template: $(VENV)/.locked ## Assemble and validate the Dataflow Flex Template of IMAGE in target/template/
	$(BIN)/python docker/template.py --image "$(IMAGE)" --out target/template/mongo-gcp-stream.json

lock: $(VENV)/.locked ## Pin the newest versions of the Python dependencies in requirements-dev.txt
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
		--no-annotate --custom-compile-command "make lock" \
		--extra arrow --extra beam --extra demo --extra dev --output-file requirements-dev.txt pyproject.toml

clean: ## Remove what the targets made, the Rust build included
	rm -rf $(VENV) target dist python/mongo_gcp_stream/_core*.so

# The lock is its own constraint: pip would otherwise look for the newest `google-auth[pyopenssl]`,
# which has no line of its own there.
$(VENV)/.locked: requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -c $< -r $<
	touch $@

# RUSTC_BOOTSTRAP above lets the stable compiler take the flags of the sanitizer.
$(FUZZ):
	cargo install --quiet --locked --root target/tools --version 0.13.2 cargo-fuzz

# The same dev profile and features of dependencies as `cargo test`: they are compiled once.
$(VENV)/.extension: $(VENV)/.locked pyproject.toml Cargo.toml Cargo.lock $(RUST_SOURCES)
	$(BIN)/maturin develop --locked --features python,one-build
	touch $@
