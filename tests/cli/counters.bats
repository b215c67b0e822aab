# --counters, which names groups and metrics, and `list --counters`, which explains them.

load common

@test "list --counters explains every group, with or without the vendor's library" {
    for library in "" /nowhere/libcupti.so; do
        ORTHO_CUPTI=$library try list --counters
        wants 0
        [ ! -s err ]
        for group in "$BATS_TEST_DIRNAME"/../../harness/groups/*.txt; do
            name=$(basename "$group" .txt)
            grep -q "^$name: $(sed -n 's/^title = //p' "$group")\$" out
            grep -q "^  $name\.[a-z_0-9]* * = .*  \[.*\]\$" out
        done
        says "smsp__thread_inst_executed.sum"
        says "l2.hit_rate"
        says "100 * hit / (hit + miss)  [%]"
        says "not on GA10B"
        [ "$(grep -c '^  passes: ' out)" -eq "$(ls "$BATS_TEST_DIRNAME"/../../harness/groups | wc -l)" ]
        [ "$(awk 'length > 80 && !/__/ && !/passes/ && !/ = /' out | wc -l)" -eq 0 ]
    done
    grep -q '^  passes: n/a (.*)$' out
    lacks "GH100" out
}

@test "list --counters tells passes and the vendor's words where the library is at hand" {
    try list --counters
    wants 0
    lacks "passes: n/a" out || skip "no libcupti here"
    grep -qE '^  passes: GH100 [0-9]+, GA100 [0-9]+, AD102 [0-9]+, [A-Z0-9]+ [0-9]+$' out
    says "# of warp instructions executed"
}

@test "list lists variants too when asked for both, and nothing else when not" {
    try list --counters
    lacks "cpu      competitor" out
    try list --counters --variants
    says "cpu      competitor"
    says "divergence.lanes"
}

@test "--counters is checked before anything runs" {
    try --counters nonsense
    wants 2 "--counters: 'nonsense' is neither a group nor a metric (groups: coalescing, divergence,"
    [ ! -s out ]
    try --counters divergance,dram
    wants 2 "did you mean 'divergence'?"
    try --counters dram,
    wants 2 "an empty item"
    try --counters
    wants 2 "--counters needs a value: LIST"
    ORTHO_BENCH_COUNTERS=nonsense try list
    wants 2 "ORTHO_BENCH_COUNTERS: 'nonsense'"
    printf 'counters = dram\n[counters]\n' >my.ini
    try list --config my.ini
    wants 2 "my.ini:2"
}

@test "one name, two options: a list for run, a flag for list, nothing for others" {
    try list --counters=dram
    wants 2 "--counters takes no value"
    try verify --counters dram
    wants 2 "--counters is an option of \`run\`, not of \`verify\`"
    printf 'counters = dram,some__metric.sum\nrequire-counters = yes\n' >my.ini
    try list --config my.ini # a file is for every command
    wants 0
    lacks "dram.traffic" out
    try help run
    says "--counters LIST"
    says "--require-counters"
    try help list
    grep -qE '^ +--counters +The groups' out
}

@test "on the CPU counters are n/a, and demanding them exits 6 with the results saved" {
    cd "$BATS_TEST_TMPDIR"
    try run --op gemm --variant csr --backend cpu --model random:64x64 --counters divergence \
        --case-timeout 0.3 --quiet -o kept.json
    wants 0
    grep -q "the CPU backend has no GPU counters" kept.json
    try run --op gemm --variant csr --backend cpu --model random:64x64 --counters divergence \
        --case-timeout 0.3 --require-counters --quiet -o demanded.json
    wants 6
    grep -q '"time_ns"' demanded.json
}

@test "the observing child is for ortho-bench itself" {
    try __observe
    wants 2
    try __observe weather --op gemm
    wants 2
}
