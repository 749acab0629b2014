#!/bin/sh
# Fails when a binary needs a glibc newer than VERSION, naming the symbols that do.
#
#   check-glibc.sh VERSION BINARY...
#
# cargo-zigbuild accepts a glibc version it does not know without a word, so what was linked is
# what counts. A binary without any versioned symbol is an error too: it is not what we ship.
set -eu

limit=$1
shift
status=0
for binary in "$@"; do
    symbols=$(objdump -T "$binary" | sed -n 's/.*[( ]GLIBC_\([0-9][0-9.]*\))\{0,1\} *\(.*\)/\1 \2/p')
    if [ -z "$symbols" ]; then
        echo "check-glibc: $binary: no glibc symbol found, is it a dynamic executable?" >&2
        status=1
        continue
    fi
    newest=$(printf '%s\n' "$symbols" | cut -d' ' -f1 | sort -V | tail -n 1)
    if [ "$(printf '%s\n%s\n' "$limit" "$newest" | sort -V | tail -n 1)" != "$limit" ]; then
        echo "check-glibc: $binary needs a glibc newer than $limit:" >&2
        printf '%s\n' "$symbols" | sort -uV | while read -r version name; do
            [ "$(printf '%s\n%s\n' "$limit" "$version" | sort -V | tail -n 1)" = "$limit" ] ||
                echo "    $name GLIBC_$version" >&2
        done
        status=1
    else
        echo "check-glibc: $binary: newest symbol GLIBC_$newest, limit $limit"
    fi
done
exit $status
