# shellcheck shell=bash
# targets.sh: how a target is run, by conventions: fuzz_NAME.c has its seeds in corpus/NAME, or those
# of documents of results, and its words in NAME.dict, or those of JSON. Sourced; sets `fuzz_flags`
# and `fuzz_seeds`.

fuzz_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Every target that there is a source of.
fuzz_targets() {
    local file
    for file in "$fuzz_here"/fuzz_*.c; do
        file=${file##*/fuzz_}
        echo "${file%.c}"
    done
}

# fuzz_settings TARGET
fuzz_settings() {
    local dictionary=$fuzz_here/json.dict length=8192
    fuzz_seeds=$fuzz_here/corpus/$1
    [ -d "$fuzz_seeds" ] || fuzz_seeds=$fuzz_here/corpus/results
    [ ! -f "$fuzz_here/$1.dict" ] || dictionary=$fuzz_here/$1.dict
    case ${fuzz_seeds##*/} in
    results | comparison) length=32768 ;;
    document) length=1024 ;;
    esac
    # The memory limit is the proof that no size is believed before it was checked.
    # shellcheck disable=SC2034  # for who sources this
    fuzz_flags=(-dict="$dictionary" -max_len="$length" -timeout=10 -rss_limit_mb=1024
        -malloc_limit_mb=256 -print_final_stats=1 -verbosity=1)
}

# fuzz_executions LOG...: inputs that were run, added up
fuzz_executions() {
    cat "$@" | awk '/^stat::number_of_executed_units:/ { n += $2 } END { printf "%d\n", n }'
}
