# The two commands are `make demo` and `make test`; `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test ci format build install-tools bench bench-peers crash hostile soak release reference bench-hook bench-secrets fuzz mutants

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
KILLS := 1000
POINTS := 200
MINUTES := 30
PUSHES := 1000
TOFU := 1.12.6
CARGO_FUZZ := 0.13.2
CARGO_MUTANTS := 27.1.0
PEERS := $(CURDIR)/bench/peers
BENCH :=
PROGRAM = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE)/stratum

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# Our own code is not optimised, so that no time goes into optimising it at link time.
demo: install-tools ## the whole story, narrated, in a temporary folder
	$(CARGO) build --locked
	@$(or $(CARGO_TARGET_DIR),target)/debug/stratum demo

build: install-tools
	$(CARGO) build --locked --profile $(PROFILE)

test: install-tools ## every test, with a few kills of the real program and a few pushes to it
	sh tests/forge/install
	$(CARGO) test --locked --workspace
	python3 tests/crash/crash.py --kills 15 --points 12 \
	  --program $(or $(CARGO_TARGET_DIR),target)/debug/stratum
	python3 tests/crash/soak.py --pushes 30 \
	  --program $(or $(CARGO_TARGET_DIR),target)/debug/stratum
	python3 tests/hostile/hostile.py --sample 60 \
	  --program $(or $(CARGO_TARGET_DIR),target)/debug/stratum

ci: install-tools ## what runs for each change: format, lints, documentation, tests, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	$(MAKE) test
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check; \
	else echo "cargo-deny is not installed, so licences were not looked at"; fi

bench: install-tools build ## cost, against OpenTofu and terraform where they are on the PATH
	@PATH="$(PEERS):$$PATH" python3 tests/bench/bench.py --program $(PROGRAM) --out bench $(BENCH)

bench-peers: ## build OpenTofu from its Go module, for make bench and make crash PEER=tofu
	@command -v go >/dev/null || { echo "Go is not on the PATH: install it, then try again" >&2; exit 1; }
	mkdir -p $(PEERS)
	cd "$$(go mod download -json github.com/opentofu/opentofu@v$(TOFU) | sed -n 's/.*"Dir": "\(.*\)",/\1/p')" \
	&& go build -o $(abspath $(PEERS))/tofu ./cmd/tofu

# Built as `make test` builds it, so that nothing is built twice.
crash: install-tools ## SIGKILL the real program, KILLS=1000 times; PEER=tofu does it to OpenTofu
	$(CARGO) test --locked --workspace --no-run
	@PATH="$(PEERS):$$PATH" python3 tests/crash/crash.py --kills $(KILLS) --points $(POINTS) \
	  --program $(or $(CARGO_TARGET_DIR),target)/debug/stratum $(if $(PEER),--peer $(PEER))

hostile: install-tools ## push every hostile commit of tests/hostile to the real program
	$(CARGO) test --locked --workspace --no-run
	python3 tests/hostile/hostile.py --program $(or $(CARGO_TARGET_DIR),target)/debug/stratum

soak: install-tools build ## PUSHES=1000 to one process that lives on, then lives from new seeds, for MINUTES=30
	python3 tests/crash/soak.py --pushes $(PUSHES) --program $(PROGRAM)
	STRATUM_SOAK_SECONDS=$$(($(MINUTES) * 60)) $(CARGO) test --locked --release -p stratum-runtime \
	  --test it lives_ -- --nocapture

bench-secrets: install-tools build ## CPU of looking at 1,000 sealed values; BENCH='--backend aws-lc'
	@python3 tests/bench/secrets.py --program $(PROGRAM) $(BENCH)

# Panics, overflows and what takes long are looked for, in code without `unsafe`, so that no sanitizer slows it
# down; what cargo-fuzz asks of the compiler is not in stable Rust yet, so the pinned one is told to allow it.
# cargo-fuzz comes from crates.io, for this user only; a C++ compiler, for libFuzzer, is there with build-essential.
fuzz: MINUTES := 60
fuzz: FUZZ := seal/sealed_file load/readers guard/readers
fuzz: install-tools ## fuzz what reads files of strangers, MINUTES=60 each; installs cargo-fuzz where it is missing
	@command -v cargo-fuzz >/dev/null || { echo "installing cargo-fuzz $(CARGO_FUZZ)"; \
	  $(CARGO) install --locked cargo-fuzz --version $(CARGO_FUZZ); }
	@for target in $(FUZZ); do room=reconciler/$${target%/*}; name=$${target#*/}; \
	  mkdir -p $$room/fuzz/corpus/$$name; \
	  (cd $$room && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$name fuzz/corpus/$$name fuzz/seeds -- \
	    -max_len=24000 -timeout=10 -max_total_time=$$(($(MINUTES) * 60))) || exit 1; done

# A build and a test for each change: hours for the whole, so FILE narrows it. What survives and why is in
# reconciler/runtime/MUTANTS.md.
mutants: FILE :=
mutants: install-tools ## change schedule and runtime in small ways, see that a test fails; FILE=runtime/src/lease.rs for one file; installs cargo-mutants where it is missing
	@command -v cargo-mutants >/dev/null || { echo "installing cargo-mutants $(CARGO_MUTANTS)"; \
	  $(CARGO) install --locked cargo-mutants --version $(CARGO_MUTANTS); }
	mkdir -p bench/core bench/runtime
	$(if $(filter runtime/%,$(FILE)),,$(CARGO) mutants --package stratum-core --output bench/core \
	  $(foreach file,$(or $(FILE),core/src/schedule.rs core/src/schedule/*.rs),--file 'reconciler/$(file)') \
	  -- --locked --lib schedule)
	$(if $(filter core/%,$(FILE)),,$(CARGO) mutants --package stratum-runtime --output bench/runtime \
	  --file 'reconciler/$(or $(FILE),runtime/src/**)' -- --locked --lib --test it)

bench-hook: install-tools build ## how long the hook pre-commit takes on 1,000 resources
	@python3 tests/bench/hook.py --program $(PROGRAM)

release: install-tools ## dist/: the program, sums, the list of libraries, the pin of the action
	@PROGRAM='$(if $(findstring command line,$(origin PROGRAM)),$(PROGRAM))' sh .ci/release

reference: ## write the reference pages again, from the program
	$(CARGO) test --locked --workspace --no-run
	@for page in commands settings findings metrics policies; do \
	  $(or $(CARGO_TARGET_DIR),target)/debug/stratum reference $$page >reconciler/docs/reference/$$page.md; done
	$(or $(CARGO_TARGET_DIR),target)/debug/stratum reference local >schemas/local.ncl

format: ## format the code
	$(CARGO) fmt --all

# What a bare Debian or Ubuntu lacks: a compiler and linker for the C parts of SQLite, OpenSSL and
# liboqs with what those are built by, git, and python3, which serves the page of the example. Rust comes from rustup, because a distribution's
# is too old; rust-toolchain.toml names the version.
install-tools:
	@sh .ci/install-tools
