# run --processes: several processes, one document; what becomes of those that don't finish.

load common

small=(--model random:64x64 --op gemm --variant csr --case-timeout 0.2 --min-time 0.005 --ci-target 1 --threads 1 --l2 warm)

# Long enough to be met at work: some seconds a process.
slow=(--model random:512x512 --variant csr,warp-per-row --batch 1,2 --min-time 0.3 --ci-target 1e-6
    --case-timeout 0.3 --threads 1 --l2 warm --processes 3)

# The child at work of process $1.
child_of() {
    local child
    for child in $(cat "/proc/$1/task/$1/children"); do
        tr '\0' ' ' <"/proc/$child/cmdline" | grep -q ' __process ' && echo "$child"
    done
    return 0
}

# Waits for a text in err.
until_err() {
    for _ in $(seq 300); do
        grep -qE -- "$1" err && return 0
        sleep 0.1
    done
    cat err
    return 1
}

@test "three processes: each row has the samples of all, a time over them, and one verdict" {
    try "${small[@]}" --processes 3 --out r.json --report rep
    wants 0 "process 3 of 3"
    says "times of 3 processes: the median of their medians"
    json 'd["context"]["options"]["processes"] == "3" and d["context"]["command"][1] == "--model"' r.json
    json '[p["status"] for p in d["context"]["processes"]] == ["ok"] * 3' r.json
    json 'd["context"]["interrupted"] is False and len(d["results"]) == 4' r.json
    json 'all(len(r["time_ns"]["processes"]) == 3 for r in d["results"])' r.json
    json 'all(sum(r["time_ns"]["processes"]) == len(r["time_ns"]["samples"]) for r in d["results"])' r.json
    json 'all(r["status"] in ("ok", "ambiguous") for r in d["results"])' r.json
    json '[r["speedup"]["over"] for r in d["results"] if r["variant"] == "csr"] == ["dense"]' r.json
    "$PYTHON" - r.json <<'EOF'
import json, statistics, sys
for row in json.load(open(sys.argv[1]))["results"]:
    time, at, medians = row["time_ns"], 0, []
    for n in time["processes"]:
        medians.append(statistics.median(time["samples"][at:at + n]))
        at += n
    assert abs(statistics.median(medians) / time["median"] - 1) < 1e-9, row["key"]
    assert time["lo"] <= time["median"] <= time["hi"]
EOF
    here=$BATS_TEST_DIRNAME/..
    "$PYTHON" "$here/schema/check_schema.py" "$here/../reports/schema/ortho-bench-1.schema.json" r.json || [ $? -eq 77 ]
    [ "$(ls r.json*)" = r.json ]
    [ -s rep/results.csv ]
    for format in csv gbench markdown json; do
        try report r.json --format $format
        wants 0
        [ -s out ]
    done
}

@test "one process is a run like any other" {
    try "${small[@]}" --processes 1 --out r.json
    wants 0
    json '"processes" not in d["context"] and not any("processes" in r["time_ns"] for r in d["results"])' r.json
    lacks "process 1" err
    try "${small[@]}" --processes 0 --out s.json
    wants 2 "--processes"
    try "${small[@]}" --processes 65 --out s.json
    wants 2 "--processes"
    try verify "${small[@]}" --processes 2
    wants 2 "--processes is an option of \`run\`, not of \`verify\`"
    try "${small[@]}" --processes 3 --dry-run
    wants 0
    [ "$(grep -c /csr/ out)" -eq 1 ]
}

@test "the machine's spread is kept after three processes, and not after two" {
    try --model random:512x512 --variant csr,coo --threads 1 --l2 warm --case-timeout 0.2 --min-time 0.005 \
        --ci-target 1 --processes 2 --out r.json
    wants 0
    [ ! -e "$XDG_STATE_HOME/ortho-bench/spread.json" ]
    try --model random:512x512 --variant csr,coo --threads 1 --l2 warm --case-timeout 0.2 --min-time 0.005 \
        --ci-target 1 --processes 3 --out r.json
    wants 0 "processes of this machine are"
    json 'd["schema"] == "ortho-bench-spread/1" and len(d["machines"]) == 1' state/ortho-bench/spread.json
    json 'all(m["cases"] >= 3 and m["processes"] == 3 and m["share"] >= 0 for m in d["machines"].values())' \
        state/ortho-bench/spread.json
}

@test "what is asked wrongly is said once, with the code of a run" {
    try "${small[@]}" --layers 5 --processes 3 --out r.json
    wants 2 "layer"
    [ ! -e r.json ]
    lacks "process 2" err
    try --model ./nowhere.gguf --processes 3 --out r.json
    [ "$code" -ne 0 ]
    grep -q nowhere.gguf err
    lacks "process 2" err
}

@test "a wrong result in the processes: exit 4, and no time of it" {
    wrong=${ORTHO_BAD:?folder of the bad plug-ins}/bad_gemm_row.so
    try "${small[@]}" --plugin "$wrong" --processes 2 --out r.json
    wants 4 "process 2 of 2"
    json '[r["status"] for r in d["results"] if r["variant"] == "bad"] == ["failed"]' r.json
    json 'all("time_ns" not in r for r in d["results"] if r["status"] == "failed")' r.json
    json 'all(len(r["time_ns"]["processes"]) == 2 for r in d["results"] if r["status"] != "failed")' r.json
}

@test "counters are asked for once, of the merged rows" {
    try "${small[@]}" --counters dram --processes 2 --out r.json
    wants 0 "the CPU backend has no GPU counters"
    [ "$(grep -c "no counters" err)" -eq 1 ]
    json 'all(c["status"] == "n/a" for r in d["results"] for c in r["counters"].values())' r.json
    try "${small[@]}" --counters dram --require-counters --processes 2 --out r.json
    wants 6
}

@test "Ctrl-C in the second process keeps the first" {
    "$BENCH" "${slow[@]}" --out r.json >out 2>err </dev/null &
    pid=$!
    until_err 'process 2 of 3$'
    sleep 0.5
    kill -INT $pid
    code=0
    wait $pid || code=$?
    wants 130 "interrupted: these are the processes that were finished"
    json 'd["context"]["interrupted"] is True' r.json
    json '[p["status"] for p in d["context"]["processes"]] == ["ok", "interrupted"]' r.json
    json 'all(r["status"] in ("ok", "ambiguous") and "processes" not in r["time_ns"] for r in d["results"])' r.json
    says "INTERRUPTED: processes are missing."
    [ "$(ls r.json*)" = r.json ]
}

@test "Ctrl-C in the first process keeps its finished cases" {
    "$BENCH" "${slow[@]}" --out r.json >out 2>err </dev/null &
    pid=$!
    until_err '\[2/'
    kill -INT $pid
    code=0
    wait $pid || code=$?
    wants 130 "interrupted: these are the cases that were finished"
    json 'd["context"]["interrupted"] is True' r.json
    json 'sum(r["status"] in ("ok", "ambiguous") for r in d["results"]) >= 1' r.json
    json 'd["context"]["options"]["processes"] == "3" and "__process" not in d["context"]["command"]' r.json
}

@test "a process that is killed costs its own times, and the document says so" {
    "$BENCH" "${slow[@]}" --out r.json >out 2>err </dev/null &
    pid=$!
    until_err 'process 2 of 3$'
    until_err '\[1[0-9]/' # it is at work
    child=$(child_of $pid)
    [ -n "$child" ]
    kill -KILL "$child"
    code=0
    wait $pid || code=$?
    wants 0 "process 2 of 3: killed by signal 9; its times are left out"
    json '[p["status"] for p in d["context"]["processes"]] == ["ok", "failed", "ok"]' r.json
    json 'd["context"]["processes"][1]["reason"] == "killed by signal 9"' r.json
    json 'all(len(r["time_ns"]["processes"]) == 2 for r in d["results"])' r.json
    says "PROCESSES MISSING: 1 of 3 didn't finish"
}

@test "where no process finishes, the run fails" {
    "$BENCH" "${slow[@]}" --processes 2 --out r.json >out 2>err </dev/null &
    pid=$!
    for number in 1 2; do
        until_err "process $number of 2\$"
        child=
        for _ in $(seq 100); do
            child=$(child_of $pid)
            [ -n "$child" ] && break
            sleep 0.05
        done
        kill -KILL "$child"
    done
    code=0
    wait $pid || code=$?
    wants 1 "no process finished: killed by signal 9"
    [ ! -e r.json ]
}

@test "a child outlives nobody, and is for ortho-bench itself" {
    try __process --no-such-option
    wants 2 "__process is for ortho-bench itself"
    "$BENCH" "${slow[@]}" --out r.json >out 2>err </dev/null &
    pid=$!
    until_err '\[1/'
    child=$(child_of $pid)
    kill -KILL $pid
    wait $pid || true
    for _ in $(seq 50); do
        [ -e "/proc/$child" ] || return 0
        sleep 0.1
    done
    return 1
}
