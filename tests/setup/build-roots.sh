#!/bin/sh
# Builds the root file systems of the test hosts, once, outside the repository.
#
#   build-roots.sh [RELEASE...]      default: bullseye bookworm trixie
#
# They lie in ${RESCIND_ROOTS:-/var/cache/rescind-tests/roots}/RELEASE and are booted as throw-away
# overlays, so one root serves any number of hosts. A root appears by rename when it is complete;
# it is built anew when the recipe below changes. Two are built at a time.
set -eu

roots=${RESCIND_ROOTS:-/var/cache/rescind-tests/roots}
releases=${*:-bullseye bookworm trixie}
mirror=${RESCIND_MIRROR:-http://deb.debian.org/debian}

# A server as it is found in the wild, and what tests use to make one ugly (acl, attr, tmux).
include=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,cron,at,passwd,login,procps
include=$include,iproute2,util-linux,libpam-modules,e2fsprogs,acl,attr,tmux

# OpenSSH 9.8 and later shut out an address after a few refused logins; tests are refused on purpose.
penalties='PerSourcePenaltyExemptList 10.77.0.0/16'

main() {
    [ "$(id -u)" -eq 0 ] || fail 'needs root'
    command -v mmdebstrap >/dev/null || fail 'mmdebstrap is missing; run tests/setup/install-tools.sh'
    mkdir -p "$roots"
    # Two runs at once wait for each other instead of building the same root twice.
    exec 9>"$roots/.lock"
    flock 9

    failed=''
    running=''
    for release in $releases; do
        current "$release" && continue
        build "$release" &
        running="$running $!"
        # shellcheck disable=SC2086
        set -- $running
        if [ $# -ge 2 ]; then
            wait "$1" || failed=yes
            shift
            running=$*
        fi
    done
    for pid in $running; do wait "$pid" || failed=yes; done
    [ -z "$failed" ] || fail 'a root could not be built, see above'
}

# The recipe of one release; a root remembers the one it was built from.
recipe() {
    echo "$1 $include"
    [ "$1" != trixie ] || echo "$penalties"
}

current() {
    [ -f "$roots/$1/.rescind-recipe" ] && recipe "$1" | cmp -s - "$roots/$1/.rescind-recipe"
}

build() {
    release=$1
    work=$roots/.$release.building
    log=$roots/.$release.log
    rm -rf "$work"
    echo "build-roots: building $release"
    begin=$(date +%s)
    if ! mmdebstrap --quiet --variant=minbase --include="$include" "$release" "$work" "$mirror" >"$log" 2>&1 9>&-
    then
        cat "$log" >&2
        rm -rf "$work"
        echo "build-roots: $release failed" >&2
        return 1
    fi
    if [ "$release" = trixie ]; then
        echo "$penalties" >"$work/etc/ssh/sshd_config.d/90-tests.conf"
    fi
    recipe "$release" >"$work/.rescind-recipe"
    # mmdebstrap leaves the root as 0700 when TMPDIR asks for it; every account must be able to enter.
    chmod 0755 "$work"
    if [ -d "$roots/$release" ]; then
        mv "$roots/$release" "$roots/.$release.old"
    fi
    mv "$work" "$roots/$release"
    rm -rf "$roots/.$release.old" "$log"
    echo "build-roots: $release ready after $(($(date +%s) - begin)) s"
}

fail() {
    echo "build-roots: $1" >&2
    exit 1
}

main
