# Baselines and the history: what a run leaves in the state folder, what it doesn't, and what is told
# of it.

load common
export LC_ALL=C.UTF-8 # grep's . is a letter, not a byte

small=(--model random:64x64 --op gemm --case-timeout 0.2 --min-time 0.005 --ci-target 1 --threads 1 --l2 warm)
key=gemm/csr/cpu/L0.w/m1/d0.01/outlier/g128/fp32/warm

# quick OPTION...: a run of csr that says nothing
quick() { try run "${small[@]}" --variant csr --quiet "$@"; }

# count N: so many runs are in the history
count() {
    "$BENCH" history --json --quiet >runs.json
    json "len(d['runs']) == $1" runs.json
}

# file NAME EXPRESSION: r.json with the document d changed
file() {
    "$PYTHON" -c 'import json, sys; d = json.load(open("r.json")); exec(sys.argv[2]); json.dump(d, open(sys.argv[1], "w"))' "$@"
}

@test "a run records itself; --no-history, environment and config keep it out" {
    try history
    wants 0 "the history is empty"
    [ ! -s out ] && [ ! -e state ]
    quick --out r.json
    wants 0
    [ ! -s err ]
    count 1
    json 'd["schema"] == "ortho-bench-history/1"' runs.json
    json 'd["runs"][0]["file"].endswith("/r.json") and d["runs"][0]["synthetic"] is True' runs.json
    json 'd["runs"][0]["failed"] == 0 and d["runs"][0]["cases"] == d["runs"][0]["timed"] > 1' runs.json
    quick --out r.json --no-history
    ORTHO_BENCH_NO_HISTORY=true quick --out r.json
    echo 'no-history = yes' >my.ini
    quick --out r.json --config my.ini
    count 1
    quick --out -
    count 2
    json '"file" not in d["runs"][0]' runs.json
}

@test "verify, --dry-run, --profile and a run of skips leave nothing" {
    try verify "${small[@]}" --variant csr
    wants 0
    try run "${small[@]}" --variant csr --dry-run
    wants 0
    try run "${small[@]}" --variant csr --profile --save-baseline x
    wants 0 "no baseline is saved"
    try run "${small[@]}" --backend cuda --variant csr --out r.json
    [ "$code" -eq 77 ] || skip "there is a GPU here"
    [ ! -e state ]
}

@test "an interrupted run is neither recorded nor a baseline" {
    "$BENCH" --model random:512x512 --variant csr,warp-per-row,block-csr --batch 1,2,3,4,5,6,7,8 \
        --density 0.01,0.02,0.03,0.04 --min-time 1 --ci-target 1e-6 --case-timeout 2 --threads 1 --l2 warm \
        --out r.json --save-baseline half >out 2>err </dev/null &
    pid=$!
    for _ in $(seq 300); do
        grep -q '\[2/' err && break
        sleep 0.1
    done
    kill -INT $pid
    code=0
    wait $pid || code=$?
    wants 130 "baseline 'half' is not saved: the run was interrupted"
    try list --baselines
    wants 0 "no baseline yet"
    count 0
    # taken in by hand it says so
    try history --import r.json
    wants 0
    try history
    says INTERRUPTED
}

@test "the history is a convenience: where it can't be written the run is well" {
    mkdir -p state/ortho-bench
    echo 'not a database, and much longer than the head of one would have to be to be looked at at all ...' >state/ortho-bench/history.db
    cp state/ortho-bench/history.db before
    try run "${small[@]}" --variant csr --out r.json
    wants 0 "this run is not in the history: "
    grep -qF "$PWD/state/ortho-bench/history.db: this history is damaged" err
    cmp before state/ortho-bench/history.db
    try history
    wants 1 "damaged"
    [ ! -s out ]
    ORTHO_BENCH_STATE=/proc/nowhere try run "${small[@]}" --variant csr --out r.json
    wants 0 "ORTHO_BENCH_STATE"
    ORTHO_BENCH_STATE=/proc/nowhere try run "${small[@]}" --variant csr --out s.json --save-baseline x
    wants 1 "/proc/nowhere"
    [ ! -e s.json ] # found out before anything was measured
    ORTHO_BENCH_STATE=here quick --out r.json
    wants 0
    [ ! -e here ]
    ORTHO_BENCH_STAET=/x try history
    wants 2 "did you mean ORTHO_BENCH_STATE?"
}

@test "a case over runs: dates in order, change, spark line; SYNTHETIC and the setting are said" {
    quick --out r.json
    scale='
for r in d["results"]:
    t = r.get("time_ns")
    if t:
        r["status"] = "ok" # a busy machine may have left it ambiguous
        r.pop("reason", 0)
        t["lo"], t["hi"] = 0.99 * t["median"] * f, 1.01 * t["median"] * f
        t["median"] *= f'
    file a.json "f = 1; d['context'].update(date='2026-01-01T00:00:00Z', commit='aaa')$scale"
    file b.json "f = 2; d['context'].update(date='2026-01-02T00:00:00Z', commit='bbb')$scale"
    file c.json "f = 2.01; d['context'].update(date='2026-01-03T00:00:00Z', commit='ccc')$scale"
    file d.json "f = 9; d['context'].update(date='2026-01-04T00:00:00Z', commit='ddd'); d['context']['cpu']['model'] = 'Another \x1b[31m CPU'$scale"
    export ORTHO_BENCH_STATE=$PWD/own
    try history c.json a.json d.json b.json
    wants 0
    says "4 new, 0 known, 0 refused"
    try history --case $key
    wants 0
    [ "$(grep -c "^$key\$" out)" -eq 2 ] # two devices, two trends
    grep -qE '^on .* · random:64x64:1 · hash [0-9a-f]{8} · threads 1 · SYNTHETIC$' out
    grep -qE '^2026-01-01 00:00 +aaa .* ± 1\.00 % +1  ok' out
    grep -qE '^2026-01-02 00:00 +bbb .* ± 1\.00 % +\+100\.0 % +1  ok' out
    grep -qE '^2026-01-03 00:00 +ccc .* \(\+0\.50 %\) +1  ok' out
    grep -qE '^▁██  .* to .*, 101\.0 % apart$' out
    says "(change): the 95 % intervals overlap"
    says "doesn't tell how processes differ"
    lacks $'\033' out
    [ "$(grep -nE 'aaa|bbb|ccc' out | cut -d: -f1 | sort -n | tr '\n' ' ')" = "$(grep -nE 'aaa|bbb|ccc' out | cut -d: -f1 | tr '\n' ' ')" ]
    try history --case 'gemm/*' --limit 1 --json
    json 'all(len(t["points"]) == 1 for t in d["trends"]) and len({t["key"] for t in d["trends"]}) > 1' out
    try history --case $key --since 2026-01-03
    lacks bbb out
    says ccc
    try history --since 2026-01-03
    [ "$(grep -c ' random:64x64:1 ' out)" -eq 2 ]
    [ "$(awk 'NR == 2 { print $3 }' out)" = ddd ] # the newest first
    try history --case 'sieve/*'
    wants 0 "no such case in the history"
    try history --since 2027-01-01
    wants 0 "nothing since 2027-01-01"
}

@test "import: known is known, refused is told with the reason, folders are searched" {
    quick --out f/g/r.json
    cp f/g/r.json r.json
    echo '{"benchmarks": []}' >f/other.json
    file f/newer.json 'd["schema"] = "ortho-bench/9"'
    cp r.json f/r.txt
    ln -s . f/loop
    export ORTHO_BENCH_STATE=$PWD/own
    try history --import f
    wants 0 "f/other.json: schema: missing"
    says "1 new, 0 known, 2 refused"
    try history --import f f --json --quiet
    wants 0
    json 'd["import"]["new"] == 0 and d["import"]["known"] == 2 and len(d["import"]["refused"]) == 4' out
    json '"ortho-bench/9" in d["import"]["refused"][0]["reason"]' out
    try history --import r.json f/other.json # named, so that it counts
    wants 1 "f/other.json: schema: missing"
    says "0 new, 1 known, 1 refused"
    try history nowhere.json
    wants 1 "nowhere.json"
    try history 'gemm/csr/*'
    wants 1 "a pattern of cases is told by --case 'gemm/csr/*'"
    "$BENCH" history --import - <r.json >out
    says "0 new, 1 known"
    file dateless.json 'del d["context"]["date"]'
    try history dateless.json
    wants 1 "dateless.json: context.date: not a string, or missing"
    mkdir empty
    try history --import empty
    wants 1
    try history --import
    wants 2 "--import needs files"
    try history r.json --case 'gemm/*'
    wants 2 "would be imported"
    try history --since yesterday
    wants 2 "--since: 'yesterday' is no date"
}

@test "the committed results can be taken in" {
    results=$BATS_TEST_DIRNAME/../../reports/results
    try history --import "$results"
    wants 0
    "$BENCH" history --json >runs.json
    json 'len(d["runs"]) >= 20 and {"NVIDIA H200", "NVIDIA H100 80GB HBM3"} <= {r["device"] for r in d["runs"]}' runs.json
    try history --case 'gemm/csr/cuda/L0.gate/m1/d0.01/*' --json
    json 'all(p["driver"] for t in d["trends"] for p in t["points"])' out
}

@test "--save-baseline keeps a copy, list --baselines shows it" {
    try run "${small[@]}" --variant csr --out r.json --save-baseline main
    wants 0 "baseline 'main' is saved"
    cmp r.json state/ortho-bench/baselines/main.json
    [ "$(stat -c %a state/ortho-bench)" = 700 ]
    try list --baselines
    wants 0
    grep -qE '^baseline +date +commit +device +model +cases$' out
    grep -qE '^main +20[0-9T:-]+Z +.* random:64x64:1 +[0-9]+  SYNTHETIC$' out
    echo '{' >state/ortho-bench/baselines/broken.json
    try list --baselines
    wants 0
    grep -qE '^broken .*broken.json:' out
    for name in ../x .hidden a/b '' "$(printf 'n%.0s' $(seq 65))"; do
        quick --out s.json --save-baseline "$name"
        wants 2 "--save-baseline: "
    done
    [ ! -e s.json ]
    quick --out s.json --baseline ../x
    wants 2 "--baseline: '../x' can't name a baseline"
}

@test "a run with a wrong result is recorded as that, and is no baseline" {
    wrong=${ORTHO_BAD:?folder of the bad plug-ins}/bad_gemm_row.so
    try run "${small[@]}" --plugin "$wrong" --out r.json --save-baseline main
    wants 4 "baseline 'main' is not saved: "
    [ ! -e state/ortho-bench/baselines/main.json ]
    "$BENCH" history --json >runs.json
    json 'd["runs"][0]["failed"] >= 1' runs.json
    try history --case 'gemm/bad*'
    wants 0
    grep -qE ' – +1? *failed: ' out
}
