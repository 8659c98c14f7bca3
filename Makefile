# What people and CI call. The work itself is done by cargo and by the program; this only names it.

.DEFAULT_GOAL := help
.PHONY: help demo packages setup test quick torture bench docs fmt

HURL_VERSION := 8.0.1
# The programs that have to be there, each with the Debian package that has it.
DEMO_PACKAGES := prometheus=prometheus promtool=prometheus prometheus-alertmanager=prometheus-alertmanager \
  pg_ctlcluster=postgresql cc=gcc
TEST_PACKAGES := prometheus-pushgateway=prometheus-pushgateway script=bsdutils strace=strace curl=curl
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/proofmark-bench

help: ## Show this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Run the demo: a world where all is well, then a broken one; says first what it does and how long it takes
	@scripts/demo $(DEMO_PACKAGES)

packages: ## Install what is missing of Debian's packages: Prometheus and its companions, PostgreSQL, a C compiler, what tests need
	@scripts/setup $(DEMO_PACKAGES) $(TEST_PACKAGES)

setup: packages ## The same, and once cargo-deny, and the MinIO of the tests where there is Go; as root also Docker, which they start themselves
	@scripts/setup-deny
	@scripts/setup-minio
	@[ "$$(id -u)" != 0 ] || scripts/setup dockerd=docker.io

test: setup ## Format, licences and advisories, lints, all tests
	cargo fmt --all --check
	scripts/deny
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p proofmark --no-default-features --locked -- -D warnings
	cargo test --workspace --locked
	cargo test -p proofmark --no-default-features --lib --locked

quick: ## Check everything, run the tests of the libraries; under a minute when warm
	cargo check --workspace --all-targets --locked
	cargo test --locked --workspace --exclude fixtures --lib

torture: packages ## Kill it at every point of the ledger and at random moments, and recover
	cargo test --locked -p proofmark --test scenarios -- --ignored --nocapture torture::
	cargo test --locked -p proofmark --test cli -- --ignored --nocapture alert_drill:: backup_kills::

bench: packages ## Measure the line beside hurl, and reading, a large log, a database, backups and their events beside their bounds
	@scripts/setup time=time
	@test -x $(CACHE)/bin/hurl || { \
	  scripts/setup clang=clang pkg-config=pkg-config curl-config=libcurl4-openssl-dev xml2-config=libxml2-dev && \
	  cargo install hurl --version $(HURL_VERSION) --locked --root $(CACHE); }
	HURL=$(CACHE)/bin/hurl cargo bench --locked -p proofmark --bench measure

docs: ## Write the pages of the kinds and of the error codes
	cargo build --locked -p proofmark
	@mkdir -p docs/kinds && rm -f docs/kinds/*.md
	@for kind in $$(target/debug/proofmark explain | cut -d' ' -f1 | sort -u); do \
	  target/debug/proofmark explain $$kind > docs/kinds/$$kind.md; done
	@target/debug/proofmark explain error-codes > docs/error-codes.md

fmt: ## Format all code
	cargo fmt --all
