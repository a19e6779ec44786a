# One command for each thing a person wants. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help run demo build test fmt lint unit protocol-test interop examples docker-test soak docs bench clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build the broker and start it; prints the playground's URL
	cargo run --release -- serve

demo: ## Build and start the demos: broker, backend, pages from two origins; prints the URLs
	scripts/setup.sh clients/js
	cargo build --release
	cd clients/js && npm run --silent build
	BAYEUXD_BIN=$${CARGO_TARGET_DIR:-target}/release/bayeuxd python3 examples/demos/demo.py

build: ## Build the release binary
	cargo build --release

test: ## Set up and run every test there is
	scripts/test.sh

fmt: ## Format the Rust sources
	cargo fmt --all

lint: ## Check formatting, and clippy with warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

unit: ## Run the Rust tests only
	cargo test --workspace

protocol-test: ## Run the protocol tests against brokers in several configurations
	scripts/protocol-tests.sh

soak: ## Run the simulation until a seed fails; SECONDS_LIMIT=60 ends it, SEED=7 shows one (docs/testing.md)
	SOAK=1 cargo test --quiet --lib simulation::nothing_is -- --nocapture

interop: ## Run real, unmodified clients against the broker
	scripts/setup.sh
	cargo build
	cd clients/interop && npm test

examples: ## Run the examples in every language that is installed
	scripts/setup.sh
	cargo build
	python3 examples/publish/test.py
	python3 examples/backend/test.py

docker-test: ## Build the image, bring the compose file up, kill the broker; needs root
	python3 docker/test

docs: ## Make the pages anew that are made from the code
	UPDATE_DOCS=1 cargo test --quiet --test configuration_docs --test error_docs

bench: ## Measure against the floor; BAYEUX_LOAD names the load generator's folder
	scripts/bench.sh

clean: ## Remove what was built and installed
	cargo clean
	rm -rf clients/*/node_modules protocol-tests/peers/node_modules examples/demos/node_modules
