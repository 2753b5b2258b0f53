# `make` lists what can be done. `make test` is all that a change must pass. CONTRIBUTING.md says how long
# each of these takes and what it installs.

CARGO  ?= cargo
TARGET ?= mipsel-unknown-linux-musl
ARCH   ?= mipsel_24kc
QEMU_TARGETS = mipsel-unknown-linux-musl mips-unknown-linux-musl

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

deps: ## install what tests, cross builds and the benchmark need (Debian)
	@scripts/deps

# A test that lacks something fails here; `cargo test` and `make unit` skip it and say so.
test: export NO_SKIPS = 1
test: announce deps fmt lint unit shell schema luci doc qemu packed ## everything: format, lint, tests, docs, other processors, packages
	@echo "make test: all passed, none skipped"

announce:
	@echo "make test: takes about 22 minutes on two cores from nothing, about 10 when all is built. On Debian it"
	@echo "make test: installs what is missing of mosquitto, busybox, ser2net, libmodbus, mbpoll, qemu-user-static, Chromium, Node, gcc,"
	@echo "make test: cmake and Debian's rustc with apt-get, as root (scripts/deps has the list), and fetches other"
	@echo "make test: tools and brokers into target/, 1 GB. 'cargo test' installs nothing."

fmt: ## check the format
	$(CARGO) fmt --check

lint: ## clippy, warnings are errors
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features tls -- -D warnings

# Most tests wait for other programs: four at a time, even on two cores.
unit: export RUST_TEST_THREADS ?= $(shell n=$$(nproc); [ $$n -gt 4 ] && echo $$n || echo 4)
unit: ## every test that this machine can run; installs nothing
	$(CARGO) test --locked
	$(CARGO) test --locked --no-default-features --test mini

shell: deps ## shellcheck, for every script
	scripts/check-shell

schema: deps ## config/schema.json in the hands of ajv and yaml-language-server
	scripts/schema

luci: deps ## the LuCI app in a headless Chromium against the gateway; screenshots in target/luci
	$(CARGO) build --locked
	target/tools/bin/python -m pytest -q -p no:cacheprovider openwrt/luci-app-tty2mqtt/tests

doc: ## the docs build without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

cross: deps ## a static binary for TARGET=mipsel-unknown-linux-musl or another
	scripts/cross $(TARGET)

qemu: deps ## build for MIPS of both byte orders and run the golden cases there
	for target in $(QEMU_TARGETS); do scripts/cross $$target && scripts/qemu $$target || exit 1; done

packed: qemu ## pack what qemu built for mipsel; other programs open the packages
	scripts/cross mipsel-unknown-linux-musl mini
	scripts/qemu mipsel-unknown-linux-musl mini
	target/tools/bin/python openwrt/pack mipsel_24kc
	target/tools/bin/python -m pytest -q openwrt/pack/tests

package: deps ## packages for OpenWrt on ARCH=mipsel_24kc, in target/packages; openwrt/README.md has the keys
	scripts/package $(ARCH)

packages: deps ## the same for every architecture in openwrt/targets
	scripts/package all
	target/tools/bin/python -m pytest -q openwrt/pack/tests

chaos: deps ## the breaker at full scale, a cluster of brokers, millions of bad frames; SEED=n plays it again
	$(CARGO) build --release --locked --no-default-features --features tls --target-dir target/bench
	GATEWAY=$(CURDIR)/target/bench/release/tty2mqtt $(CARGO) test --locked --test it daemon::memory:: -- --nocapture --test-threads=1
	CHAOS=full $(CARGO) test --locked --profile chaos --test chaos -- --nocapture --test-threads=1
	MUTANTS=10000000 $(CARGO) test --locked --profile chaos --test it fuzz:: -- --nocapture --test-threads=1

bench: deps ## our gateway against a plain Python bridge, on one PTY and mosquitto
	$(CARGO) build --release --locked --no-default-features --features tls --target-dir target/bench
	target/tools/bin/python benches/bridge/bench.py target/bench/release/tty2mqtt

bus: deps ## a simulated RS-485 line polled by our gateway, tokio-modbus and pymodbus: values, silences, CPU
	$(CARGO) build --release --locked --no-default-features --features tls --target-dir target/bench
	$(CARGO) build --locked --example line
	$(CARGO) build --release --locked --manifest-path benches/bus/peer/Cargo.toml --target-dir target/bench/peer
	target/tools/bin/python benches/bus/bench.py target/bench/release/tty2mqtt target/debug/examples/line \
		target/bench/peer/release/peer

instructions: ## user instructions of a message, by callgrind; OTHER=another gateway to compare with
	@scripts/deps valgrind
	$(CARGO) build --release --locked
	target/tools/bin/python benches/bridge/instructions.py target/release/tty2mqtt $(OTHER)

decoders: deps ## user instructions of a frame, by callgrind, beside libsml, gpsdecode and Python libraries
	@scripts/deps valgrind libsml-dev gpsd-clients gcc
	test -x target/decoders/bin/python || python3 -m venv target/decoders
	target/decoders/bin/pip -q install dsmr-parser==1.11.2 pyMeterBus==0.8.5
	$(CC) -O2 -o target/decoders/sml benches/decoders/sml.c -lsml
	$(CARGO) build --release --locked --example frames
	target/decoders/bin/python benches/decoders/bench.py target/release/examples/frames target/decoders/sml

home-assistant: ## what is announced of each device, in the hands of Home Assistant's own code; needs Python 3.13
	$(CARGO) test --locked --test it -- home_assistant::
	scripts/home-assistant

size: deps ## what the MQTT client adds to a program, with this compiler and as for a router
	scripts/size
	scripts/size router

clean: ## remove everything that was built
	rm -rf target

.PHONY: help announce deps test shell fmt lint unit schema luci doc cross qemu packed package packages chaos bench bus instructions decoders home-assistant size clean
