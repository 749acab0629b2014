#!/bin/sh
# Fetches packages that some tests install on their hosts, once, outside the repository: what a
# server may have and most have not.
#
#   fetch-debs.sh [RELEASE...]      default: bullseye bookworm trixie
#
# They lie, with all they need besides the release's root, in
# ${RESCIND_DEBS:-/var/cache/rescind-tests/debs}/RELEASE. A directory appears by rename when it is
# complete. The roots must be there (build-roots.sh).
set -eu

roots=${RESCIND_ROOTS:-/var/cache/rescind-tests/roots}
debs=${RESCIND_DEBS:-/var/cache/rescind-tests/debs}
releases=${*:-bullseye bookworm trixie}

main() {
    [ "$(id -u)" -eq 0 ] || fail 'needs root'
    mkdir -p "$debs"
    exec 9>"$debs/.lock"
    flock 9
    for release in $releases; do
        packages=$(packages "$release")
        echo "$packages" | cmp -s - "$debs/$release/.packages" || fetch "$release" "$packages"
    done
}

# doas(1) and polkit(8) have other names in each release.
packages() {
    case $1 in
        bullseye) echo 'doas policykit-1' ;;
        *) echo 'opendoas polkitd pkexec' ;;
    esac
}

# Asks the release's own apt, in a throw-away copy of its root, what is needed.
fetch() {
    work=$debs/.$1.fetching
    log=$debs/.$1.log
    rm -rf "$work"
    mkdir "$work"
    echo "fetch-debs: fetching $2 for $1"
    if ! systemd-nspawn --quiet --keep-unit --register=no --pipe --volatile=overlay \
        --directory="$roots/$1" --bind="$work:/debs" sh -ec "
            apt-get -qq update
            apt-get -qq install --no-install-recommends --download-only --yes \
                -o Dir::Cache::archives=/debs $2" >"$log" 2>&1 </dev/null 9>&-
    then
        cat "$log" >&2
        rm -rf "$work"
        fail "the packages for $1 could not be fetched"
    fi
    rm -rf "$work/partial" "$work/lock" "$log"
    echo "$2" >"$work/.packages"
    rm -rf "${debs:?}/$1"
    mv "$work" "$debs/$1"
}

fail() {
    echo "fetch-debs: $1" >&2
    exit 1
}

main
