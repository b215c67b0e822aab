# run and verify: what is measured arrives whole, on the right stream, with the right exit code, also
# when it is interrupted.

load common

# Small, quick and the same every time.
small=(--model random:96x80 --case-timeout 0.2 --min-time 0.005 --ci-target 1 --threads 1 --l2 warm)

@test "--dry-run lists the keys and measures nothing; list --cases is the same" {
    try --dry-run "${small[@]}" --variant csr --batch 1,3 --density 0.01,0.1
    wants 0
    grep -q '^gemm/csr/cpu/L0.w/m3/d0.1/outlier/g128/fp32/warm' out
    grep -q '^sieve/csr/cpu/L0.w/d0.01/outlier/g128/warm' out
    cp out first
    try list --cases "${small[@]}" --variant csr --batch 1,3 --density 0.01,0.1
    wants 0
    cmp out first
}

@test "a run prints a table, writes results with a dated name, and says where" {
    mkdir work
    code=0
    (cd work && exec "$BENCH" "${small[@]}" --variant csr) >out 2>err </dev/null || code=$?
    wants 0 "results: "
    says csr
    lacks "results: " out
    written=$(sed -n 's/.*results: //p' err)
    [[ $written =~ ^out/ortho-bench-[0-9]{8}-[0-9]{6}(-[0-9]+)?\.json$ ]]
    [ "$(cd work && find . -type f)" = "./$written" ]
    json 'd["schema"] == "ortho-bench/1" and d["context"]["interrupted"] is False' "work/$written"
    json 'any(r["variant"] == "csr" and r["status"] in ("ok", "ambiguous") for r in d["results"])' "work/$written"
    # not on a terminal: a line a case
    [ "$(grep -cE '^ortho-bench: \[[0-9]+/[0-9]+\] ' err)" -ge 2 ]
    lacks $'\r' err
}

@test "the effective options are in the results: defaults, config, environment, flags" {
    printf 'density = 0.1\nseed = 5\nvariant = coo\n' >my.ini
    ORTHO_BENCH_SEED=6 ORTHO_BENCH_VARIANT=warp-per-row \
        try "${small[@]}" --config my.ini --variant csr --op gemm --out r.json --quiet
    wants 0
    [ ! -s err ]
    json 'd["context"]["options"]["density"] == "0.1"' r.json
    json 'd["context"]["options"]["seed"] == "6" and d["context"]["seed"] == 6' r.json
    json 'd["context"]["options"]["variant"] == "csr" and d["context"]["options"]["batch"] == "1"' r.json
    json 'not any(r["variant"] == "warp-per-row" for r in d["results"])' r.json
}

@test "--case KEY runs that row alone, with nothing else repeated" {
    key=gemm/csr/cpu/L0.w/m3/d0.05/residual/g32/fp32/warm
    try "${small[@]}" --case $key --out r.json
    wants 0
    json "[r['key'] for r in d['results']] == ['$key']" r.json
    try "${small[@]}" --case gemm/csr/cpu/L7.w/m3/d0.05/residual/g32/fp32/warm --out s.json
    [ "$code" -ne 0 ]
    [ ! -e s.json ]
}

@test "--form puts a pass's forms into one table; a key holds its form" {
    decode=(--pass decode --model synthetic:smollm2-135m --layers 0 --backend cpu --threads 1
            --case-timeout 0.2 --min-time 0.005 --ci-target 1)
    try "${decode[@]}" --form all --variant csr --out r.json
    wants 0
    says "csr         grouped"
    says "over grouped"
    says "skipped: the variant has no chain"
    json '{r["form"] for r in d["results"]} == {"single", "grouped", "persistent"}' r.json
    json 'all(r["status"] in ("ok", "ambiguous") or r["form"] == "persistent" for r in d["results"])' r.json
    json 'd["context"]["options"]["form"] == "single,grouped,persistent"' r.json
    key=pass/csr/cpu/decode-grouped/m1/d0.01/outlier/g128/fp32
    try "${decode[@]}" --case $key --out s.json
    wants 0
    json "[r['key'] for r in d['results']] == ['$key']" s.json
    try compare r.json s.json --format json --out c.json
    json "[c['key'] for c in d['cases'] if c['verdict'] != 'MISSING'] == ['$key']" c.json
    try --form grouped --variant csr
    wants 2 "only a pass has forms: add --pass decode"
}

@test "--activations exact,int8 times both in turn, marks the one and skips who can't" {
    try "${small[@]}" --op gemm --variant fused,csr --backend cpu --dtype fp32 --batch 1,40 \
        --activations exact,int8 --out r.json
    wants 0
    says "fused (int8 activations)"
    says "skipped: csr on the CPU takes no int8 activations, which are had on the CPU only, from: fused"
    lacks "dense (int8" out
    json 'sum(r.get("activations") == "int8" for r in d["results"]) == 4' r.json
    json 'all(r["key"].endswith("/int8") == (r.get("activations") == "int8") for r in d["results"])' r.json
    json 'all(r["status"] == "skipped" for r in d["results"] if r["variant"] == "csr" and "activations" in r)' r.json
    json 'all(r["verified"]["after"] == "pass" for r in d["results"] if r["variant"] == "fused")' r.json
    json 'all(r["speedup"]["over"] == "dense" for r in d["results"] if r["variant"] == "fused")' r.json
    json 'all((r["verified"]["rel_error"] > 5e-4) == ("activations" in r) for r in d["results"]
              if r["variant"] == "fused" and r["dtype"] == "fp32")' r.json
    json 'd["context"]["options"]["activations"] == "exact,int8"' r.json
    try report r.json --format csv
    wants 0
    grep -q '/int8,.*,int8,' out
    try report r.json --format markdown
    says "| fused (int8 activations) |"
    key=gemm/fused/cpu/L0.w/m1/d0.01/outlier/g128/bf16/warm/int8/a0.5
    try "${small[@]}" --case $key --out s.json
    wants 0
    json "[r['key'] for r in d['results']] == ['$key']" s.json
}

@test "a comparison keeps int8 activations apart from exact ones" {
    for side in a b; do
        try "${small[@]}" --op gemm --variant fused --backend cpu --dtype bf16 --activations all --out $side.json
        wants 0
    done
    try compare a.json b.json --format json --out c.json
    json 'sorted(g.get("activations", "exact") for g in d["groups"] if g["variant"] == "fused") == ["exact", "int8"]' c.json
    try compare a.json b.json
    says "fused (int8 activations) gemm on cpu"
    "$PYTHON" - <<'EOF'
import json
for side, keep in ("a", "int8"), ("b", None):
    d = json.load(open(side + ".json"))
    d["results"] = [r for r in d["results"] if r["variant"] == "fused" and r.get("activations") == keep]
    json.dump(d, open(side + ".json", "w"))
EOF
    try compare a.json b.json --format json --out c.json
    json 'not d["cases"] and "activations" in json.dumps(d["refused"])' c.json
}

@test "--activations int8 alone leaves the references exact; --dry-run says who can't" {
    try --dry-run "${small[@]}" --op gemm --variant csr,fused --backend cpu --activations int8
    wants 0
    grep -q '^gemm/fused/cpu/L0.w/m1/d0.01/outlier/g128/fp32/warm/int8$' out
    grep -q '^gemm/csr/.*/int8  # skipped: csr on the CPU takes no int8' out
    grep -q '^gemm/dense/cpu/L0.w/m1/d0.01/outlier/g128/fp32/warm$' out
    [ "$(grep -c '^gemm/fused' out)" -eq 1 ]
    try --dry-run --pass decode --model synthetic:smollm2-135m --variant csr --backend cpu --activations int8
    grep -q '^pass/csr/.*/int8  # skipped: csr on the CPU takes no int8' out
    try "${small[@]}" --activations int4
    wants 2 "exact, int8"
}

@test "a pass of int8 activations in every form, and over processes" {
    try --pass decode --model synthetic:smollm2-135m --layers 0 --backend cpu --threads 1 --form all \
        --case-timeout 0.2 --min-time 0.005 --ci-target 1 --variant fused --activations all \
        --processes 2 --out r.json
    wants 0
    says "fused (int8 activations)  persistent"
    json 'sorted(r["form"] for r in d["results"] if r.get("activations") == "int8") == ["grouped", "persistent", "single"]' r.json
    json 'all(r["verified"]["after"] == "pass" for r in d["results"] if r["variant"] == "fused")' r.json
    json 'all(r["speedup"]["over"] == "dense" for r in d["results"] if r["variant"] == "fused")' r.json
}

@test "--out - is the document on stdout, and only that" {
    try "${small[@]}" --variant csr --op gemm --out -
    wants 0
    json 'd["schema"] == "ortho-bench/1"' out
}

@test "--format names the writer of stdout" {
    try "${small[@]}" --variant csr --op gemm --out r.json --format csv
    wants 0
    head -1 out | grep -q '^key,op,variant'
    try report r.json --format csv
    wants 0
    grep -q '^gemm/csr/' out
}

@test "report makes every export and plot of a run again" {
    try "${small[@]}" --variant csr --op gemm --out r.json --report rep
    wants 0 "report and plots: rep"
    [ -s rep/results.csv ] && [ -s rep/results.json ]
    try report r.json --report again --format table --out table.txt
    wants 0
    [ -s table.txt ] && [ ! -s out ]
    cmp rep/results.csv again/results.csv
    cp r.json s.json
    try report r.json s.json --format csv --out both.csv
    wants 2 "--out holds one report"
    try report r.json ./r.json --report two
    wants 2 "would share a folder"
    try report r.json s.json --report two --quiet
    wants 0
    [ -s two/r/results.csv ] && [ -s two/s/results.csv ]
    [ -s rep/index.html ] && [ -s two/s/index.html ]
    try report my.ini
    wants 1 "my.ini"
}

@test "report --out makes a folder with one page of all files" {
    try "${small[@]}" --variant csr --op gemm --out r.json
    wants 0
    try report r.json -o page
    wants 0 "page: page/index.html"
    [ -s page/index.html ] && [ -s page/results.csv ] && [ ! -s out ]
    cp r.json s.json
    try report r.json s.json -o both
    wants 0
    [ -s both/r/results.json ] && [ -s both/s/results.json ]
    grep -q 'data-name="s.json"' both/index.html
    try report r.json ./r.json -o page
    wants 2 "would share a folder"
    for file in page.html r.csv notes.txt r.json; do # meant as files
        try report r.json -o "$file"
        wants 2 "say which with --format"
    done
    try report r.json --format md -o r.md
    wants 0 "md: r.md"
    head -1 r.md | grep -q '^## ortho-bench: [A-Z]*: ' # the verdict comes first
    try report r.json -o - # no folder: the table
    wants 0
    says "csr"
    ORTHO_BENCH_FORMAT=csv try report r.json -o env.csv
    wants 0 "csv: env.csv"
}

@test "report reads a comparison: a page's verdict, a comment" {
    compared=$BATS_TEST_DIRNAME/../page/comparison.json
    try report "$compared" -o page
    wants 0 "page: page/index.html"
    grep -q 'SLOWER: 1 wrong, 2 slower' page/index.html
    try report "$compared" --format md
    wants 0
    head -1 out | grep -q '^## ortho-bench: SLOWER'
    try report "$compared" --format csv
    wants 1 "no form for a comparison"
    cp "$compared" again.json
    try report "$compared" again.json -o page
    wants 1 "a second comparison"
    echo '{"schema": "ortho-bench-compare/1", "context": {}}' >half.json
    try report half.json -o page
    wants 1 "summary: not an object, or missing"
}

@test "Ctrl-C keeps what was measured: exit 130, a whole document that says so" {
    "$BENCH" --model random:512x512 --variant csr,warp-per-row,block-csr --batch 1,2,3,4,5,6,7,8 \
        --density 0.01,0.02,0.03,0.04 --min-time 1 --ci-target 1e-6 --case-timeout 2 --threads 1 --l2 warm \
        --out r.json >out 2>err </dev/null &
    pid=$!
    for _ in $(seq 300); do
        grep -q '\[2/' err && break
        sleep 0.1
    done
    kill -INT $pid
    code=0
    wait $pid || code=$?
    wants 130 "interrupted"
    json 'd["context"]["interrupted"] is True' r.json
    json 'sum(r["status"] in ("ok", "ambiguous") and "time_ns" in r for r in d["results"]) >= 1' r.json
    [ -s out ]
    [ "$(ls r.json*)" = r.json ]
}

@test "a full disk: the results can't be written, and the exit code says so" {
    try "${small[@]}" --variant csr --op gemm --out /proc/nowhere/r.json
    wants 1 "/proc/nowhere"
    [ -w /dev/full ] || return 0
    code=0
    "$BENCH" "${small[@]}" --variant csr --op gemm --out r.json >/dev/full 2>err || code=$?
    wants 1 "standard output"
    json 'd["schema"] == "ortho-bench/1"' r.json
}

@test "verify: a verdict a case, no timing, no file" {
    mkdir work && cd work
    try verify "${small[@]}" --variant csr --batch 1,3 --density 0,1
    wants 0
    [ "$(ls)" = "$(printf 'err\nout')" ]
    head -1 out | grep -q '^status *verdict *rel_error *tolerance *case$'
    [ "$(grep -cE '^ok +pass .*(sieve|gemm)/csr/' out)" -eq 6 ]
    lacks failed out
    try verify --out v.json
    wants 2 "--out is an option of \`run\`, not of \`verify\`"
}

@test "usage errors that only the session can see" {
    try "${small[@]}" --layers 5 --variant csr --out r.json
    wants 2
    try "${small[@]}" --proj gate --variant csr --out r.json
    wants 2
    [ ! -s out ]
    try "${small[@]}" --variant fused --op sieve --out r.json
    wants 2 "--variant fused has no sieve of its own on cpu; these have: block-csr, coo, csr, warp-per-row"
    try "${small[@]}" --variant fused,csr --op sieve --dry-run
    wants 2 "--variant fused has no sieve"
}

@test "a wrong result: exit 4 from run and from verify, and no time for it" {
    wrong=${ORTHO_BAD:?folder of the bad plug-ins}/bad_gemm_row.so
    try verify "${small[@]}" --op gemm --plugin "$wrong"
    wants 4
    try run "${small[@]}" --op gemm --plugin "$wrong" --out wrong.json
    wants 4
    json 'any(r["status"] == "failed" and "time_ns" not in r for r in d["results"])' wrong.json
    try run "${small[@]}" --op gemm --plugin "${wrong%row.so}not.so" --out right.json
    wants 0
}
