#!/bin/sh
# Installs what the release build needs beside cargo: zig as a linker that knows old glibc symbols,
# and cargo-deb. Everything lies in ${RESCIND_TOOLS:-/var/cache/rescind-tests/tools}; nothing is
# installed system-wide, nothing is done when the pinned versions are already there.
set -eu

tools=${RESCIND_TOOLS:-/var/cache/rescind-tests/tools}
zigbuild_version=0.24.0
zig_version=0.17.1
cargo_deb_version=3.8.0

mkdir -p "$tools"
exec 9>"$tools/.lock"
flock 9

zig_stamp="cargo-zigbuild $zigbuild_version ziglang $zig_version"
if [ "$(cat "$tools/zig/.installed" 2>/dev/null)" != "$zig_stamp" ]; then
    echo "install-toolchain: $zig_stamp"
    rm -rf "$tools/zig"
    python3 -m venv "$tools/zig"
    "$tools/zig/bin/pip" install --quiet --disable-pip-version-check \
        "cargo-zigbuild==$zigbuild_version" "ziglang==$zig_version"
    echo "$zig_stamp" >"$tools/zig/.installed"
fi

if [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" != "cargo-deb $cargo_deb_version" ]; then
    echo "install-toolchain: cargo-deb $cargo_deb_version"
    cargo install --quiet cargo-deb --version "$cargo_deb_version" --locked --root "$tools"
fi
