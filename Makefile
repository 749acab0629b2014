# make demo    the whole story on a throw-away host, see README.md
# make test    everything: lints, unit tests, packages, tests on whole hosts
# make fuzz    every reader of bytes under libFuzzer, ten minutes each, see tests/fuzz/README.md
# The rest is what these two are made of. On a machine with nothing but Rust run them as root: they
# install what they need. Caches lie in /var/cache/rescind-tests.

.PHONY: demo test bench fuzz build deb lint roots tools clean

CARGO = cargo
# Everything is built with the same features, those of the whole workspace: nothing is built twice.
WHOLE = --locked --workspace --features rescind-tests/hosts
# Each file of tests/tests is a test program, or a directory with a main.rs is. Those left out need no
# host and half a minute each, and have run before.
HOST_TESTS = $(filter-out readers round_trip, $(basename $(notdir $(wildcard tests/tests/*.rs))) \
	$(patsubst tests/tests/%/main.rs,%,$(wildcard tests/tests/*/main.rs)))

demo:
	tests/setup/run-demo.sh

test: lint
	$(CARGO) test --locked --workspace
	$(MAKE) --no-print-directory deb roots
	$(CARGO) test $(WHOLE) $(addprefix --test ,$(HOST_TESTS)) -- --test-threads=2

fuzz: tools
	tests/fuzz/run.sh

bench: deb roots
	$(CARGO) run --quiet --locked --release -p rescind-tests --bin bench

build: tools
	packaging/build-release.sh

deb: tools
	packaging/build-debs.sh

# The licences, sources and bans of deny.toml are checked by tests/tests/dependencies.rs in a second;
# cargo-deny says the same, but takes four minutes to build, so it runs where it is there.
lint: tools
	$(CARGO) fmt --check
	cd tests/fuzz && $(CARGO) fmt --check
	$(CARGO) clippy $(WHOLE) --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; fi

roots: tools
	tests/setup/build-roots.sh
	tests/setup/fetch-debs.sh

tools:
	tests/setup/install-tools.sh

clean:
	$(CARGO) clean
