#!/bin/sh
# Packs the release binaries: target/debian/rescind-agent.deb and target/debian/rescind.deb.
set -eu

cd "$(dirname "$0")/.."
tools=${RESCIND_TOOLS:-/var/cache/rescind-tests/tools}
output=${CARGO_TARGET_DIR:-target}/debian

packaging/build-release.sh
mkdir -p "$output"
for package in rescind-agent rescind-control; do
    name=${package%-control}
    "$tools/bin/cargo-deb" --quiet --package "$package" --no-build --no-strip \
        --target x86_64-unknown-linux-gnu --output "$output/$name.deb"
    echo "build-debs: $output/$name.deb"
done
