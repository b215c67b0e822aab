# What the captures and the comparison with Nsight Compute promise, with made-up profilers: no GPU, and
# neither nsys nor ncu.

setup() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PYTHON=${ORTHO_PYTHON:-python3}
    export ORTHO_PYTHON=$PYTHON BIN=$BATS_TEST_TMPDIR/bin OUT=$BATS_TEST_TMPDIR/out
    export RESULTS=$BATS_TEST_TMPDIR/results.json MADE=$BATS_TEST_TMPDIR/made SAID=$BATS_TEST_TMPDIR/said
    unset NSYS NCU CUDA_HOME LD_LIBRARY_PATH
    mkdir -p "$BIN" "$OUT"
    PATH=$BIN:$PATH
    CSR=gemm/csr/cuda/L0.k/m1/d0.01/outlier/g128/fp16/cold
    fake_bench 0
    fake_nsys
    fake_ncu
    # nsys's two libraries may be missing on the machine of this test
    mkdir -p "$BATS_TEST_TMPDIR/libs/usr/lib"
    touch "$BATS_TEST_TMPDIR"/libs/usr/lib/lib{dw,elf}.so.1
    fake python-with-libraries 'case "$1" in -c) exit 0 ;; esac; exec '"$PYTHON"' "$@"'
    fake python-without '[ "$1" != -c ] || { echo libdw.so.1; exit 0; }; exec '"$PYTHON"' "$@"'
    export ORTHO_PYTHON=$BIN/python-with-libraries
}

# fake NAME SCRIPT: an executable of this name, first on PATH
fake() {
    printf '#!/bin/bash\n%s\n' "$2" >"$BIN/$1"
    chmod +x "$BIN/$1"
}

make() { "$PYTHON" "$BATS_TEST_DIRNAME/make_nsight.py" "$@"; }

# fake_bench CODE [GPU_CODE]: an ortho-bench that says its arguments; run exits CODE, the look for a
# GPU exits GPU_CODE
fake_bench() {
    fake ortho-bench "[ \"\$1\" != verify ] || { echo 'its reason' >&2; exit ${2:-0}; }
printf '%s\n' \"\$@\" >\"\$SAID.bench\"; exit $1"
}

# What an nsys or an ncu does: run what stands behind its own options, then leave a file.
fake_nsys() {
    fake nsys 'printf "%s\n" "$@" >>"$SAID"
while [ $# -gt 0 ]; do
    [ "$1" != -o ] || target=$2
    case $1 in */ortho-bench) "$@"; code=$?; break ;; esac
    shift
done
case $target in
*.sqlite) cp "$MADE" "$target" ;;
*) [ -n "${NO_REPORT:-}" ] || touch "$target.nsys-rep"; exit "${code:-0}" ;;
esac'
}

fake_ncu() {
    fake ncu 'printf "%s\n" "$@" >>"$SAID"
[ "$1" != --import ] || { cat "$MADE"; exit 0; }
while [ $# -gt 0 ]; do
    [ "$1" != -o ] || target=$2
    case $1 in */ortho-bench) "$@"; code=$?; break ;; esac
    shift
done
[ -n "${NO_REPORT:-}" ] || touch "$target.ncu-rep"
exit "${code:-0}"'
}

nsight_capture() { run "$ROOT/scripts/nsight-capture" --out "$OUT" --bin "$BIN/ortho-bench" "$@"; }
ncu_capture() { run "$ROOT/scripts/ncu-capture" --out "$OUT" --bin "$BIN/ortho-bench" "$@"; }
compare() { run "$ROOT/scripts/compare-ncu" "$RESULTS" "$@"; }

said() { grep -qxF -e "$1" "$SAID"; }

# metric_is CASE METRIC VERDICT: what the table says of a metric of a case
metric_is() {
    local found
    found=$(awk -v key="$1" -v metric="  $2 " '
        $1 == key { here = 1; next } /^[a-z]+\// { here = 0 } here && index($0, metric) == 1' <<<"$output")
    [[ "$found" == *"  $3" ]] || { echo "$1, $2: $found" >&2 && return 1; }
}

@test "each script explains itself" {
    for script in nsight-capture ncu-capture compare-ncu; do
        run "$ROOT/scripts/$script" --help
        [ "$status" -eq 0 ]
        [[ "$output" == *"usage: scripts/$script"* ]]
    done
}

@test "the captures refuse an option without its value, and a folder that isn't there" {
    nsight_capture --libs
    [ "$status" -eq 1 ]
    [[ "$output" == *"--libs needs a value"* ]]
    nsight_capture --libs "$BATS_TEST_TMPDIR/none"
    [ "$status" -eq 1 ]
    [[ "$output" == *"there is no folder"* ]]
    ncu_capture --cache-control some
    [ "$status" -eq 1 ]
    [[ "$output" == *"--cache-control is all or none"* ]]
    [ ! -e "$SAID" ]
}

@test "without a GPU a capture is a skip that says why" {
    fake_bench 0 77
    for capture in nsight_capture ncu_capture; do
        $capture
        [ "$status" -eq 77 ]
        [[ "$output" == *"its reason"* ]]
    done
    [ ! -e "$SAID" ]
}

# ---- nsys ----------------------------------------------------------------------------------------

@test "nsight-capture records a run, clocks untouched, and tells what it holds" {
    make timeline "$MADE"
    nsight_capture --op gemm --variant csr
    [ "$status" -eq 0 ]
    [[ "$output" == *"2      0      15000  $CSR"* ]]
    [[ "$output" == *"0      1      10000  gemm/memcpy/"* ]]
    [[ "$output" == *"outside the cases' ranges"*"csr_rows 1, evict_kernel 1"* ]]
    [[ "$output" == *"nsys: 2 cases, 2 kernels, each within its case's range"* ]]
    said --capture-range=cudaProfilerApi
    said --cpuctxsw=none
    [ -z "$(grep clock "$SAID")" ]
    [ "$(paste -sd' ' "$SAID.bench")" = "run --profile --op gemm --variant csr" ]
    [ -e "$OUT/timeline.nsys-rep" ] && [ -e "$OUT/timeline.sqlite" ]
}

@test "what stands behind -- is ortho-bench's" {
    make timeline "$MADE"
    nsight_capture -- --out x.json
    [ "$status" -eq 0 ]
    [ "$(paste -sd' ' "$SAID.bench")" = "run --profile --out x.json" ]
}

@test "nsight-capture passes on that a case failed its verification, and other errors" {
    make timeline "$MADE"
    fake_bench 4
    nsight_capture
    [ "$status" -eq 4 ]
    [[ "$output" == *"nsys: 2 cases"* ]]
    fake_bench 2
    nsight_capture
    [ "$status" -eq 2 ]
    [[ "$output" != *"nsys: 2 cases"* ]]
}

@test "a missing libdw is one line that says how to cure it, before anything runs" {
    export ORTHO_PYTHON=$BIN/python-without
    nsight_capture
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == *"without libdw.so.1: apt-get install libdw1 libelf1, or --libs DIR"* ]]
    [ ! -e "$SAID" ]
}

@test "--libs puts the folders of unpacked packages on the loader's path" {
    make timeline "$MADE"
    fake python-looks 'echo "$LD_LIBRARY_PATH" >"$SAID.path"; [ "$1" != -c ] || exit 0; exec '"$PYTHON"' "$@"'
    export ORTHO_PYTHON=$BIN/python-looks
    nsight_capture --libs "$BATS_TEST_TMPDIR/libs"
    [ "$status" -eq 0 ]
    [ "$(cat "$SAID.path")" = "$BATS_TEST_TMPDIR/libs/usr/lib" ]
}

@test "nsys is found within Nsight Compute's folder, and in NSYS" {
    make timeline "$MADE"
    mkdir -p "$BATS_TEST_TMPDIR/compute/host/target-linux-x64"
    mv "$BIN/nsys" "$BATS_TEST_TMPDIR/compute/host/target-linux-x64/nsys"
    mv "$BIN/ncu" "$BATS_TEST_TMPDIR/compute/ncu"
    ln -s "$BATS_TEST_TMPDIR/compute/ncu" "$BIN/ncu"
    ! command -v nsys || skip "an nsys is installed"
    nsight_capture
    [ "$status" -eq 0 ]
    NSYS=$BIN/none nsight_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"$BIN/none can't be run"* ]]
}

@test "no report is an error, though nsys was content" {
    export NO_REPORT=1
    nsight_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"nsys made no report"* ]]
}

@test "a timeline without ranges or without kernels is refused" {
    make timeline "$MADE" no-ranges
    nsight_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"nsys: FAIL: no case's range"* ]]
    rm "$MADE" && make timeline "$MADE" no-kernels
    nsight_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"nsys: FAIL: no kernel"* ]]
}

@test "a kernel that ran outside its case's range is named" {
    make timeline "$MADE" late
    nsight_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"FAIL $CSR: csr_sum ran 161000 ns after its range"* ]]
    [[ "$output" == *"1 faults"* ]]
}

@test "a case that launched nothing is named" {
    make timeline "$MADE" empty
    nsight_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"FAIL $CSR: nothing was launched in its range"* ]]
}

@test "timelines of other schemas: fewer columns, a domain made before the capture" {
    for schema in plain no-domain; do
        rm -f "$MADE" && make timeline "$MADE" $schema
        run "$PYTHON" "$ROOT/scripts/nsys.py" "$MADE"
        [[ "$output" == *"2      "*"      15000  $CSR"* ]]
        [ "$status" -eq 0 ]
    done
    echo none >"$MADE"
    run "$PYTHON" "$ROOT/scripts/nsys.py" "$MADE"
    [ "$status" -eq 2 ]
    [[ "$output" == *"can't be read"* ]]
}

# ---- ncu -----------------------------------------------------------------------------------------

@test "ncu-capture captures cases alone, clocks untouched, and prints each one's command" {
    make csv "$MADE"
    ncu_capture --metrics a.sum,b.sum --model 'random:64x128' --plugin "it's.so"
    [ "$status" -eq 0 ]
    for word in --clock-control none --profile-from-start off --nvtx ortho@profile/ application-only a.sum,b.sum; do
        said "$word"
    done
    [ "$(paste -sd' ' "$SAID.bench")" = "run --profile --model random:64x128 --plugin it's.so" ]
    [[ "$output" == *"2       3000  $CSR"* ]]
    [[ "$output" == *"--nvtx-include ortho@profile/"*"run --profile --model random:64x128 --plugin 'it'\\''s.so' --case $CSR"* ]]
    [ "$(grep -c -- "--case $CSR\$" <<<"$output")" -eq 1 ]
    [[ "$output" == *"--case $CSR/lognormal:1"* ]]
    [ -s "$OUT/kernels.csv" ]
}

@test "ncu-capture: no report, nothing in ranges, a failed case" {
    make csv "$MADE"
    NO_REPORT=1 ncu_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"ncu made no report"* ]]
    fake_bench 4
    ncu_capture
    [ "$status" -eq 4 ]
    make csv "$MADE" no-ranges
    ncu_capture
    [ "$status" -eq 1 ]
    [[ "$output" == *"holds no kernel in a case's range"* ]]
}

@test "ncu.py reads both of ncu's pages alike" {
    make csv "$MADE"
    run "$PYTHON" "$ROOT/scripts/ncu.py" --keys "$MADE"
    raw=$output
    make csv "$MADE" long
    run "$PYTHON" "$ROOT/scripts/ncu.py" --keys "$MADE"
    [ "$output" = "$raw" ]
    [ "${#lines[@]}" -eq 3 ]
    echo nothing >"$MADE"
    run "$PYTHON" "$ROOT/scripts/ncu.py" "$MADE"
    [ "$status" -eq 1 ]
    [[ "$output" == *"isn't what"* ]]
}

# ---- comparison ----------------------------------------------------------------------------------

@test "counters that agree: kernels summed, verification's launches and copies left out" {
    make results "$RESULTS"
    for page in raw long; do
        make csv "$MADE" $page
        compare --csv "$MADE"
        [ "$status" -eq 0 ]
        metric_is "$CSR" instructions equal
        metric_is "$CSR" "divergent targets" equal
        metric_is "$CSR" "DRAM read" "within 2%"
        metric_is "$CSR" "DRAM written" shown
        metric_is "$CSR/lognormal:1" "DRAM read" "within 2%"
        metric_is sieve/csr/cuda/L0.k/d0.01/outlier/g128/cold instructions "within 1%"
        [[ "$output" == *"n/a: copies, no kernel of its own"*"tried until they succeed"* ]]
        [[ "$output" == *"compare-ncu: 4 cases: 9 equal, 3 within their bounds, 0 differ, 0 missing"* ]]
    done
}

@test "a count that differs by one, and DRAM by more than 2 %, fail" {
    make results "$RESULTS"
    make csv "$MADE" count
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    metric_is "$CSR" instructions DIFFERS
    [[ "$output" == *"-0.083%  DIFFERS"*"1 differ, 0 missing"* ]]
    make csv "$MADE" dram
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    metric_is "$CSR" "DRAM read" DIFFERS
}

@test "a case whose kernels the capture lacks fails" {
    make results "$RESULTS"
    make csv "$MADE" lost
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    metric_is "$CSR/lognormal:1" instructions "MISSING: the capture lacks its kernels"
}

@test "without ranges launches are dealt in order, where numbers and names allow it" {
    make results "$RESULTS"
    make csv "$MADE" no-ranges
    compare --csv "$MADE"
    [ "$status" -eq 0 ]
    [[ "$output" == *"9 equal, 3 within"* ]]
    make csv "$MADE" short
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    [[ "$output" == *"has 3 launches where the results have 4"* ]]
    make csv "$MADE" order
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    [[ "$output" == *"aren't in the results' order"* ]]
}

@test "rounded bytes, results without counters, and no results are refused in words" {
    make results "$RESULTS"
    make csv "$MADE" scaled
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    [[ "$output" == *"Kbyte, rounded: import the report with --print-units base"* ]]
    make results "$RESULTS" uncounted
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    [[ "$output" == *"no row has counters to compare: run with --counters divergence,dram"* ]]
    echo '{' >"$RESULTS"
    compare --csv "$MADE"
    [ "$status" -eq 1 ]
    [[ "$output" == *"can't be read"* ]]
}

@test "compare-ncu captures by itself: the run's options again, DRAM apart and in a single pass" {
    make results "$RESULTS"
    make csv "$MADE"
    compare --bin "$BIN/ortho-bench" --out "$OUT"
    [ "$status" -eq 0 ]
    [ "$(paste -sd' ' "$SAID.bench")" = "run --profile --op=gemm --variant=csr,memcpy --model=random:64x128 \
--alpha=-0.5 --plugin=a.so --plugin=b.so" ]
    said smsp__inst_executed.sum,smsp__sass_branch_targets_threads_divergent.sum,smsp__thread_inst_executed.sum
    said dram__bytes_read.sum,dram__bytes_write.sum
    said --cache-control
    [ -s "$OUT/counts/kernels.csv" ] && [ -s "$OUT/dram/kernels.csv" ]
    fake_bench 0 77
    compare --bin "$BIN/ortho-bench"
    [ "$status" -eq 77 ]
    fake_bench 3
    compare --bin "$BIN/ortho-bench"
    [ "$status" -eq 1 ]
    [[ "$output" == *"exit code 3"* ]]
}
