#!/bin/sh
# Prepares and runs the demo: on a throw-away Debian where this machine can boot one, else on a
# directory.
set -eu

cd "$(dirname "$0")/../.."

# Root alone is not enough: in most containers nothing may be mounted.
if [ "$(id -u)" -eq 0 ] && unshare --mount --net true 2>/dev/null; then
    tests/setup/install-tools.sh
    tests/setup/build-roots.sh bookworm
    packaging/build-debs.sh
else
    cargo build --quiet --locked -p rescind-agent -p rescind-control
    built=${CARGO_TARGET_DIR:-$PWD/target}/debug
    export RESCIND_BIN_AGENT="$built/rescind-agent" RESCIND_BIN_CONTROL="$built/rescind"
fi
exec cargo run --quiet --locked -p rescind-tests --bin demo
