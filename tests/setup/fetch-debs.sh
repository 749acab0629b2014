#!/bin/sh
# Fetches packages that some tests install on their hosts, once, outside the repository: what a
# server may have and most have not.
#
#   fetch-debs.sh [RELEASE...]      default: bullseye bookworm trixie
#
# They lie, with all they need besides the release's root, in
# ${RESCIND_DEBS:-/var/cache/rescind-tests/debs}: in RELEASE the programs that have rules of who may
# do what, in RELEASE-ways further ways in, in RELEASE-directory another name service. A directory appears by rename when it is complete. The
# roots must be there (build-roots.sh).
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
        have "$release" "$release" "$(packages "$release")"
        have "$release" "$release-ways" 'dropbear-bin uidmap'
        have "$release" "$release-directory" libnss-extrausers
    done
}

# doas(1) and polkit(8) have other names in each release.
packages() {
    case $1 in
        bullseye) echo 'doas policykit-1' ;;
        *) echo 'opendoas polkitd pkexec' ;;
    esac
}

have() {
    echo "$3" | cmp -s - "$debs/$2/.packages" || fetch "$@"
}

# Asks the release's own apt, in a throw-away copy of its root, what is needed: RELEASE DIRECTORY
# PACKAGES.
fetch() {
    work=$debs/.$2.fetching
    log=$debs/.$2.log
    rm -rf "$work"
    mkdir "$work"
    echo "fetch-debs: fetching $3 for $1"
    if ! systemd-nspawn --quiet --keep-unit --register=no --pipe --volatile=overlay \
        --directory="$roots/$1" --bind="$work:/debs" sh -ec "
            apt-get -qq update
            apt-get -qq install --no-install-recommends --download-only --yes \
                -o Dir::Cache::archives=/debs $3" >"$log" 2>&1 </dev/null 9>&-
    then
        cat "$log" >&2
        rm -rf "$work"
        fail "the packages for $1 could not be fetched"
    fi
    rm -rf "$work/partial" "$work/lock" "$log"
    echo "$3" >"$work/.packages"
    rm -rf "${debs:?}/$2"
    mv "$work" "$debs/$2"
}

fail() {
    echo "fetch-debs: $1" >&2
    exit 1
}

main
