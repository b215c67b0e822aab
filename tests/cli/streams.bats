# Results on stdout and nothing else; a stdout that fails is an error, one that has seen enough isn't.

load common

@test "list prints variants to stdout, nothing to stderr" {
    try list
    wants 0
    [ ! -s err ]
    head -1 out | grep -q '^variant  *backend  *role  *ops  *summary$'
    grep -q '^csr  *cpu  *competitor  *sieve,gemm ' out
    grep -q '^null  *cpu  *harness ' out
    cp out first
    try list --variants
    cmp out first
}

@test "list --models tells of each known model whether and where it is, or how to get it" {
    HOME=$PWD XDG_CACHE_HOME=$PWD/none HF_HOME=$PWD/none HF_HUB_CACHE=$PWD/none \
        ORTHO_CACHE=$PWD/none try list --models
    wants 0
    [ "$(grep -cE '^(llama-3.2-3b|smollm2-135m|minilm-l6) +absent' out)" -eq 3 ]
    [ "$(grep -c 'to get it: ' out)" -eq 3 ]
    says "Apache-2.0"
}

@test "list --formats names writers and plots" {
    try list --formats
    wants 0
    for name in table json csv markdown gbench speedup; do
        grep -qE "^$name +" out
    done
}

@test "a full disk is reported" {
    [ -w /dev/full ] || skip "no /dev/full"
    code=0
    "$BENCH" list >/dev/full 2>err || code=$?
    wants 1 "No space left on device"
    code=0
    "$BENCH" inspect random:8x8 --json >/dev/full 2>err || code=$?
    wants 1 "standard output"
}

@test "a closed stdout is an error, and no file of ours takes its place" {
    code=0
    "$BENCH" list >&- 2>err || code=$?
    wants 1 "standard output"
}

@test "a reader that leaves early is no error" {
    "$BENCH" inspect synthetic:llama-3.2-3b --json 2>err | head -1 >out
    [ "${PIPESTATUS[0]}" -eq 0 ]
    [ ! -s err ]
}

@test "--quiet leaves only errors on stderr" {
    try inspect nothing-here --quiet
    wants 1 "nothing-here"
    [ ! -s out ]
}
