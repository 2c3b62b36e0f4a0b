# Everything a person or CI does with the project. Chores are Rust (cargo xtask), not shell.

CARGO ?= cargo
TOOLS := target/tools

.PHONY: run test check fix bench compat deny golden crash install-rnacos

## Build and start the server, data in ./merak-data.
run:
	$(CARGO) run --release --package merak -- serve

## Unit, property, suite, golden, fault and scenario tests, then real client libraries against the built binary.
test:
	$(CARGO) xtask mariadb
	$(CARGO) test --workspace
	$(CARGO) xtask clients --binary target/debug/merak

## Read-only checks: format, lints, structure, generated code, licences, documentation.
check: deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	$(CARGO) xtask codegen --check
	$(CARGO) xtask tidy
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet

## Licences, sources and bans of all dependencies. Advisories need the network's advisory database: cargo deny check.
deny: $(TOOLS)/bin/cargo-deny
	$(TOOLS)/bin/cargo-deny --all-features check --hide-inclusion-graph bans licenses sources

$(TOOLS)/bin/cargo-deny:
	$(CARGO) install cargo-deny --version 0.20.2 --locked --root $(TOOLS)

fix:
	$(CARGO) fmt --all
	$(CARGO) xtask codegen

## Rewrite golden files; then read the diff.
golden:
	UPDATE_GOLDEN=1 $(CARGO) test --workspace

## Every client and sample application, where make test takes some clients; writes docs/compatibility.md.
compat:
	$(CARGO) build --package merak
	$(CARGO) xtask clients --binary target/debug/merak --all --write docs/compatibility.md

## A thousand times kill -9 under write load (make test does fifty).
crash:
	MERAK_CRASH_ROUNDS=1000 $(CARGO) test --release --package merak --test crash --package merak-store -- --nocapture

## Beside r-nacos (make install-rnacos), Nacos and polaris-server (NACOS_DIST, POLARIS_DIST) where present, and the bare
## stack. About 35 minutes; the page and its charts go to target/bench. BENCH="--rounds 1 --only beat" is a quick look.
bench:
	$(CARGO) build --release --package merak --package merak-bench
	RNACOS_BIN=$${RNACOS_BIN:-$(TOOLS)/bin/rnacos} target/release/merak-bench compare --merak target/release/merak --out target/bench $(BENCH)

install-rnacos:
	$(CARGO) install rnacos --version 0.8.8 --locked --root $(TOOLS)
