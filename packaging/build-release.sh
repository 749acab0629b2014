#!/bin/sh
# Builds the release binaries so that they start on any x86-64 Linux with glibc 2.17 or later
# (RHEL 7, Debian 8 and everything since): zig links against the symbol versions of that glibc.
#
#   build-release.sh        the binaries lie in target/x86_64-unknown-linux-gnu/release afterwards
set -eu

cd "$(dirname "$0")/.."
tools=${RESCIND_TOOLS:-/var/cache/rescind-tests/tools}
glibc=2.17
target=x86_64-unknown-linux-gnu

packaging/install-toolchain.sh
# The pip package of zig has no `zig` command of its own; cargo-zigbuild finds it through its python.
PATH=$tools/zig/bin:$PATH
export PATH
cargo zigbuild --quiet --locked --release --target "$target.$glibc" -p rescind-agent -p rescind-control

release=${CARGO_TARGET_DIR:-target}/$target/release
packaging/check-glibc.sh "$glibc" "$release/rescind-agent" "$release/rescind"
ls -l "$release/rescind-agent" "$release/rescind" | awk '{ printf "build-release: %s %.1f MB\n", $9, $5 / 1e6 }'
