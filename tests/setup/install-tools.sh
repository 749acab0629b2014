#!/bin/sh
# Installs the Debian packages that building and testing Rescind needs on a fresh Debian 12.
# Silent and offline when nothing is missing; anything that cannot be installed is an error.
set -eu

# What each package is for, one line each:
packages='
gcc                 the linker of rustc, and the C of aws-lc and sqlite
g++                 build scripts of C libraries look for it
libc6-dev           headers for the above
make                the Makefile
binutils            objdump and readelf, the check of glibc symbols
python3-venv        the private home of zig and cargo-zigbuild
ca-certificates     downloads over TLS
mmdebstrap          builds the roots of the test hosts
systemd-container   systemd-nspawn boots them
iproute2            network namespaces and veth pairs
util-linux          nsenter
openssh-client      the real ssh that tries to log in
openssl             keys and certificates for the tests to look for
gnupg               the same
procps              ps and pgrep, to look for leftovers
strace              kills a program at a chosen system call
groff-base          the check of the man pages
'

missing=''
for package in $(printf '%s' "$packages" | awk 'NF { print $1 }'); do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "install-tools: missing packages:$missing; run this as root" >&2
    exit 1
fi

echo "install-tools: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A stale or broken third-party source must not stop the build: the install below is what decides.
apt-get -qq update >"$log" 2>&1 || true
# shellcheck disable=SC2086 # the list is meant to be split
if ! apt-get -qq install -y --no-install-recommends $missing >>"$log" 2>&1; then
    cat "$log" >&2
    echo "install-tools: could not install$missing" >&2
    exit 1
fi
