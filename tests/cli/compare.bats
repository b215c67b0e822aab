# compare: verdicts, exit codes, forms. What it decides is tested by tests/unit/test_compare*.c.

load common

# made FILE FACTOR [PYTHON]: a result of five processes whose times are FACTOR as long; the document
# d may be changed by a statement.
made() {
    "$PYTHON" - "$@" <<'EOF'
import json, random, sys
random.seed(sys.argv[1])
def case(variant, role):
    samples = [1e5 * float(sys.argv[2]) * random.lognormvariate(0, 0.002) for _ in range(100)]
    return {"key": f"gemm/{variant}/cpu/L0.q/m1", "op": "gemm", "variant": variant, "role": role, "backend": "cpu",
            "layer": 0, "proj": "q", "n": 64, "k": 64, "m": 1, "density": 0.01, "nnz": 40, "l2": "cold", "synthetic": False,
            "status": "ok", "verified": {"before": "pass", "after": "pass", "rel_error": 1e-7},
            "peak_bytes": {"working": 4096},
            "time_ns": {"median": 1e5, "lo": 9e4, "hi": 1.1e5, "samples": samples, "processes": [20] * 5}}
d = {"schema": "ortho-bench/1", "context": {"commit": "c", "date": "2026-01-01T00:00:00Z", "binary": "b",
     "cpu": {"model": "made up"}, "model": {"name": "m", "hash": "h", "synthetic": False}},
     "results": [case("csr", "competitor"), case("dense", "baseline")]}
exec(sys.argv[3] if len(sys.argv) > 3 else "")
json.dump(d, open(sys.argv[1], "w"))
EOF
}

# fits FILE: the comparison fits its schema
fits() {
    "$PYTHON" -c 'import jsonschema' 2>/dev/null || return 0
    "$PYTHON" -c 'import json, sys, jsonschema
jsonschema.validate(json.load(open(sys.argv[1])), json.load(open(sys.argv[2])))' "$1" \
        "${BATS_TEST_DIRNAME}/../../reports/schema/ortho-bench-compare-1.schema.json"
}

@test "the same: exit 0; the last line is the verdict" {
    made a.json 1 && made b.json 1
    try compare a.json b.json
    wants 0
    [ "$(tail -1 out)" = "SAME: 1 the same" ]
    says "gemm/csr/cpu/L0.q/m1"
    says "references, which tell of the machine"
}

@test "slower: exit 3; faster: exit 0; a threshold lets it pass" {
    made a.json 1 && made b.json 1.05
    try compare a.json b.json
    wants 3
    says "SLOWER: 1 slower"
    try compare b.json a.json
    wants 0
    says "FASTER: 1 faster"
    try compare a.json b.json --threshold 10%
    wants 0
    try compare a.json b.json --threshold 0.1
    wants 0
}

@test "wrong: exit 4, whatever the times say" {
    made a.json 1
    made b.json 0.5 'd["results"][0].update(status="failed", reason="y[3] is off")'
    try compare a.json b.json
    wants 4
    says "failed in b: y[3] is off"
}

@test "ambiguous: exit 0, and 5 with --strict" {
    made a.json 1 'd["results"][0]["time_ns"].pop("processes")'
    made b.json 1.05 'd["results"][0]["time_ns"].pop("processes")'
    try compare a.json b.json
    wants 0
    says "fewer than three processes on a side"
    try compare a.json b.json --strict
    wants 5
    try compare a.json b.json --process-spread 0.1%
    wants 3
}

@test "what is known of a machine's processes widens a lone one, and never by less than 0.5 %" {
    made a.json 1 'd["results"][0]["time_ns"].pop("processes")'
    made b.json 1.05 'd["results"][0]["time_ns"].pop("processes")'
    mkdir -p "$XDG_STATE_HOME/ortho-bench"
    for share in 0.0001 0.012; do
        echo '{"schema": "ortho-bench-spread/1", "machines": {"made up": {"share": '$share', "cases": 9,
            "processes": 3, "date": "2026-01-01", "binary": "b"}}}' >"$XDG_STATE_HOME/ortho-bench/spread.json"
        try compare a.json b.json -o c$share.json
    done
    json 'd["context"]["spread"] == {"share": 0.005, "from": "9 cases in 3 processes, 2026-01-01"}' c0.0001.json
    json 'd["context"]["spread"]["share"] == 0.012 and d["cases"][0]["time"]["widened"]' c0.012.json
}

@test "more bytes are a regression" {
    made a.json 1
    made b.json 1 'd["results"][0]["peak_bytes"]["working"] = 1 << 20'
    try compare a.json b.json
    wants 3
    says "takes more temporaries: 1.00 MiB where it was 4.00 KiB"
}

@test "another device or model: refused by name, exit 1" {
    made a.json 1
    made b.json 1 'd["context"]["cpu"]["model"] = "another"'
    try compare a.json b.json
    wants 1 "nothing to compare: device is made up in a and another in b"
    made b.json 1 'd["context"]["model"]["hash"] = "0"'
    try compare a.json b.json
    wants 1 "nothing to compare: model is h in a and 0 in b"
}

@test "several files of each side stand around vs" {
    for i in 1 2 3; do
        made a$i.json 1 && made b$i.json 1.05
    done
    try compare a1.json a2.json a3.json vs b1.json b2.json b3.json --format json -o c.json
    wants 3
    [ ! -s out ]
    fits c.json
    json 'd["context"]["a"]["processes"] == 15 and len(d["context"]["b"]["files"]) == 3' c.json
    try compare a1.json a2.json a3.json
    wants 2 "with 'vs' between them"
    try compare a1.json vs
    wants 2 "with 'vs' between them"
    try compare a1.json
    wants 2
}

@test "--out without --format is JSON beside the table; md starts with the verdict" {
    made a.json 1 && made b.json 1.05
    try compare a.json b.json -o c.json
    wants 3 "comparison: c.json"
    says "SLOWER: 1 slower"
    fits c.json
    json 'd["summary"]["verdict"] == "SLOWER" and d["cases"][0]["time"]["lo"] > 1.03' c.json
    try compare a.json b.json --format md
    wants 3
    [ "$(head -1 out)" = "## ortho-bench: SLOWER: 1 slower" ]
    try compare a.json b.json -o a.json/c.json
    wants 1 "a.json"
}

@test "what isn't a result is told with its name" {
    made a.json 1
    echo '{"schema": "ortho-bench/9", "context": {}, "results": []}' >b.json
    try compare a.json b.json
    wants 1 "b.json: schema: this file is"
    try compare a.json "no/base-*.json"
    wants 1 "no/base-*.json: no such file"
    try compare a.json nowhere.json
    wants 1 "nowhere.json"
    try compare a.json b.json --format sideways
    wants 2 "sideways"
    try compare a.json b.json --threshold -1
    wants 2
    try compare a.json b.json --threshold 2%%
    wants 2
}

@test "two runs of this machine compare" {
    small=(--model random:96x80 --case-timeout 0.2 --min-time 0.005 --ci-target 1 --threads 1 --l2 warm --op gemm --quiet)
    try "${small[@]}" --variant csr -o 1.json && wants 0
    try "${small[@]}" --variant csr -o 2.json && wants 0
    try compare 1.json 2.json --threshold 900% -o c.json
    wants 0
    fits c.json
    json 'd["summary"]["refused"] == 0 and any(c["variant"] == "csr" for c in d["cases"])' c.json
}

@test "references alone are nothing to judge" {
    made a.json 1 'd["results"].pop(0)' && made b.json 1 'd["results"].pop(0)'
    try compare a.json b.json
    wants 1 "the sides share references alone"
}

@test "a run that is wrong tells of its baseline too, and exits as wrong" {
    small=(--model random:64x64 --case-timeout 0.2 --min-time 0.005 --ci-target 1 --threads 1 --l2 warm --op gemm)
    try run "${small[@]}" --variant csr -o 1.json --save-baseline main
    wants 0
    mkdir main # which hides no baseline
    try compare main 1.json
    wants 0
    try run "${small[@]}" --plugin "${ORTHO_BAD:?folder of the bad plug-ins}/bad_gemm_row.so" -o 2.json --baseline main
    wants 4 "against baseline 'main'"
}
