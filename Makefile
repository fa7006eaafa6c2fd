# The two commands are `make demo` and `make test`; `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test ci format build install-tools

# A folder of built dependencies that outlives clones is used when there is one.
ifeq ($(origin CARGO_TARGET_DIR),undefined)
  KEPT_TARGET := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stratum/target
  ifneq ($(wildcard $(KEPT_TARGET)/.),)
    export CARGO_TARGET_DIR := $(KEPT_TARGET)
  endif
endif

# rustup puts cargo here without telling shells that are already open.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

CARGO := cargo
PROFILE := release
PROGRAM = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE)/stratum

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: install-tools build ## the whole story, narrated, in a temporary folder
	@$(PROGRAM) demo

build: install-tools
	$(CARGO) build --locked --profile $(PROFILE)

test: install-tools ## every test
	$(CARGO) test --locked --workspace

ci: install-tools ## what runs for each change: format, lints, documentation, tests, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) test --locked --workspace
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check; \
	else echo "cargo-deny is not installed, so licences were not looked at"; fi

format: ## format the code
	$(CARGO) fmt --all

# What a bare Debian or Ubuntu lacks: a compiler and linker for the C parts of SQLite, git, and
# python3, which serves the page of the example. Rust comes from rustup, because a distribution's
# is too old; rust-toolchain.toml names the version.
install-tools:
	@sh .ci/install-tools
