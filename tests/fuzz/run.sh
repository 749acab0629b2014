#!/bin/bash
# Fuzzes targets one after the other, all of them or those named: each for ten minutes with inputs of
# up to 4 kB, and then for two with inputs of up to 256 kB, which show what takes quadratic time.
#
#   tests/fuzz/run.sh [TARGET…]
#   MINUTES=60 tests/fuzz/run.sh sudoers
#
# Ends with an error at the first failure; the input is then beneath artifacts/.
set -eu

cd "$(dirname "$0")"
seconds=$((${MINUTES:-10} * 60))
mapfile -t all < <(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | tail -n +2)
[ $# -gt 0 ] || set -- "${all[@]}"

(cd ../.. && cargo build --quiet --locked -p rescind-tests --bin fuzz-seeds)
# The flags in .cargo/config.toml are taken because we are beside it.
cargo build --quiet --release --locked

export TIMEFORMAT='%R s, running for %U s of them'
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    ../../target/debug/fuzz-seeds "$target" "corpus/$target"
    for limits in "$seconds 4096" "$((seconds / 5)) 262144"; do
        log="artifacts/$target-${limits#* }.log"
        # What one input may cost is bounded in src/lib.rs: the reader's own CPU time and memory. The
        # two limits here are a net beneath, for the whole process; its time is the wall's clock, which
        # goes on while others use the machine.
        if ! time nice -n 19 "target/x86_64-unknown-linux-gnu/release/$target" "corpus/$target" \
            -artifact_prefix="artifacts/$target/" -max_total_time="${limits% *}" \
            -max_len="${limits#* }" -timeout=300 -rss_limit_mb=1024 -print_final_stats=1 \
            >"$log" 2>&1; then
            grep -aA 3 -e panicked -e ERROR: "$log" | cut -c -500
            echo "$target fails; the input is beneath tests/fuzz/artifacts/$target" >&2
            exit 1
        fi
        cov=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$log")
        runs=$(sed -n 's/stat::number_of_executed_units: *//p' "$log")
        peak=$(sed -n 's/stat::peak_rss_mb: *//p' "$log")
        echo "$target up to ${limits#* } bytes: $runs inputs, coverage $cov, process $peak MB"
    done
done
