# tune: every way of a variant verified and timed, and the table that the build takes.

load common

# Small, quick and the same every time.
small=(--model random:64x128 --threads 1 --l2 warm --case-timeout 0.3 --min-time 0.005 --ci-target 1)
BAD=${ORTHO_BAD:?folder of the bad plug-ins}
GENERATE=$BATS_TEST_DIRNAME/../tuned/generate.cmake

# the cells of the table's rows: m, way, second
rows() {
    sed '1,/^n\t/d' "$1" | cut -f 4,7,9 | tr '\t\n' '  '
}

@test "tune: every way of every case, a table, and what it says of where it comes from" {
    try tune --variant fused "${small[@]}" --batch 16,1,4 --density 0.1,0 -o t.tsv
    wants 0 "cases changed"
    [ "$(grep -c '^ortho-bench: \[' err)" -eq 12 ]
    grep -q '/m4/d0.1/outlier/g128/fp32/warm/rows: ' err
    grep -q "/m1/.*/panel: skipped: fused can't take 1 tokens this way" err
    says "64×128"
    says "1.000×"
    [ "$(sed '1,/^n\t/d' t.tsv | cut -f 1-6 | tr '\t\n' ' ,')" = "64 128 128 1 0 fp32,64 128 128 4 0 fp32,64 128 128 16 0 fp32,64 128 128 1 0.1 fp32,64 128 128 4 0.1 fp32,64 128 128 16 0.1 fp32," ]
    grep -qP '^64\t128\t128\t1\t0\tfp32\trows\t[0-9.]*\t-\t-$' t.tsv
    grep -qP '^# threads\t1$' t.tsv
    grep -qP '^# backend\tcpu$' t.tsv
    grep -qP '^# variant\tfused$' t.tsv
    grep -qP '^# verified\tevery row$' t.tsv
    [ "$(ls t.tsv*)" = t.tsv ]
}

@test "the build takes the table that tune wrote, under the name that it told" {
    try tune "${small[@]}" --batch 2,4 -o t.tsv
    wants 0 "table: t.tsv; as variants/fused/tuned/"
    place=$(sed -n 's/.*; as \(variants[^ ]*\) it is.*/\1/p' err)
    try tune "${small[@]}" --batch 2
    wants 0 "with --out $place it becomes the build's"
    try tune "${small[@]}" --batch 2,4 -q -o "$place"
    wants 0
    [ ! -s err ]
    cmake -D DIR=variants -D OUT=table.c -P "$GENERATE"
    [ "$(grep -c '^    {[24], "' table.c)" -eq 2 ]
    mv "$place" variants/fused/tuned/another.tsv
    run cmake -D DIR=variants -D OUT=table.c -P "$GENERATE"
    [ "$status" -ne 0 ]
}

@test "-o - is the table alone; --dry-run lists the cases" {
    try tune --variant fused "${small[@]}" --batch 2 -o -
    wants 0
    [ "$(head -1 out)" = $'# format\tortho-tuned/1' ]
    lacks "×" out
    try tune --variant fused "${small[@]}" --batch 2,8 --dry-run
    wants 0
    [ "$(sed 's/.*warm.//' out | tr '\n' ' ')" = "rows panel rows panel " ]
}

@test "a run's own settings aren't tune's: variant, batch, out" {
    printf 'variant = csr\nbatch = 3\nout = r.json\n' >my.ini
    ORTHO_BENCH_VARIANT=coo ORTHO_BENCH_BATCH=5 ORTHO_BENCH_OUT=s.json \
        try tune --config my.ini --model random:64x128 --dry-run
    wants 0
    [ "$(grep -c fused out)" -eq 20 ]
    lacks /m3/ out
    lacks /m5/ out
}

@test "linears of one shape are measured once" {
    try tune --model synthetic:smollm2-135m --proj q,o,k,v,gate,up,down --batch 1 --threads 1 --dry-run
    wants 0
    [ "$(grep -c /rows out)" -eq 4 ]
}

@test "the fastest way is found, and said to be new" {
    try tune --plugin "$BAD/bad_ways_not.so" --variant bad-ways "${small[@]}" --batch 3,4 --min-time 0.05 -o t.tsv
    wants 0 "2 of 2 cases changed"
    [ "$(rows t.tsv)" = "3 quick slow 4 quick even " ]
    says "changed, was slow"
    grep -q "/m3/.*/even: skipped: bad-ways can't take 3 tokens this way" err
}

@test "--ways: those and the usual one, the others are skipped in words" {
    try tune --plugin "$BAD/bad_ways_not.so" --variant bad-ways "${small[@]}" --batch 3,4 --min-time 0.05 --ways 'none,q*' -o t.tsv
    wants 2 "--ways: no way of bad-ways matches 'none'; it has: slow, quick, even"
    try tune --plugin "$BAD/bad_ways_not.so" --variant bad-ways "${small[@]}" --batch 3,4 --min-time 0.05 --ways 'q*' -o t.tsv
    wants 0 "2 of 2 cases changed"
    [ "$(rows t.tsv)" = "3 quick slow 4 quick slow " ]
    grep -q "/m4/.*/even: skipped: not among --ways" err
    try tune --plugin "$BAD/bad_ways_not.so" --variant bad-ways "${small[@]}" --batch 4 --min-time 0.05 --ways even,quick -o t.tsv
    wants 0
    lacks "not among" err
}

@test "a wrong way is named, is in no table, and makes the exit code 4" {
    for defect in row later; do
        try tune --plugin "$BAD/bad_ways_$defect.so" --variant bad-ways "${small[@]}" --batch 3,4 --min-time 0.05 -o $defect.tsv
        wants 4 "way quick is left out, it failed: gemm/bad-ways/cpu/L0.w/m4/"
        [ "$(rows $defect.tsv)" = "3 slow - 4 even slow " ]
    done
}

@test "what can't be: variants without ways, two variants, options of a run, a place that isn't one" {
    try tune --variant csr "${small[@]}"
    wants 2 "--variant csr has no ways to choose between of its own on cpu; these have: fused"
    try tune --variant nonsense "${small[@]}"
    wants 2 "no variant 'nonsense'"
    try tune --variant fused,csr "${small[@]}"
    wants 2 "is of one variant"
    try tune --plugin "$BAD/bad_ways_not.so" "${small[@]}"
    wants 2 "is of one variant"
    try tune --plugin "$BAD/bad_ways_half.so" --variant bad-ways "${small[@]}"
    wants 2 "lacks the required hook gemm.way"
    try tune --variant fused --pass decode
    wants 2 "--pass"
    try tune --variant fused "${small[@]}" --batch 2 -o /proc/nowhere/t.tsv
    wants 1 "/proc/nowhere"
}

@test "Ctrl-C keeps the cases that are done: exit 130, a whole table" {
    "$BENCH" tune --model random:512x512 --variant fused --batch 2,3,4,5,6,7,8 --min-time 1 \
        --ci-target 1e-6 --case-timeout 1 --threads 1 --l2 warm -o t.tsv >out 2>err </dev/null &
    pid=$!
    for _ in $(seq 300); do
        grep -q '\[2/' err && break
        sleep 0.1
    done
    sleep 0.5
    kill -INT $pid
    code=0
    wait $pid || code=$?
    wants 130 "interrupted"
    [ "$(ls t.tsv*)" = t.tsv ]
    count=$(sed '1,/^n\t/d' t.tsv | wc -l)
    [ "$count" -ge 1 ] && [ "$count" -lt 7 ]
    [ "$(rows t.tsv | cut -d ' ' -f 1)" -eq 2 ]
}

@test "tune --help teaches" {
    try tune --help
    wants 0
    says "variants/NAME/tuned/DEVICE.tsv"
    says "--batch"
    says "1,2,4,8,16"
    lacks "--pass" out
}
