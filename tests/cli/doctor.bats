# doctor: what is missing is told with its cure and is no failure; a wrong count would be one.

load common

SCHEMA=$BATS_TEST_DIRNAME/../../reports/schema/doctor.schema.json

@test "the text: each line with a verdict, nothing on stderr, exit 0 with a GPU and without" {
    try doctor
    wants 0
    [ ! -s err ]
    grep -qE '^gpu +(ok|n/a) ' out
    grep -qE '^counters +(ok|n/a) ' out
    grep -qE '^cpu +(ok|warn) ' out
    grep -qE '^model +(ok|n/a) ' out
    grep -qE '^gnuplot +(ok|n/a) ' out
    grep -qE '^csr +ok +on cpu: sieve, gemm' out
    grep -qE '^divergent branches +(ok|n/a) +7936 ' out
    lacks wrong out
}

@test "without a GPU: all that needs one is n/a and says why" {
    try doctor --json
    wants 0
    if json 'd["machine"][0]["status"] == "ok"' out 2>/dev/null; then skip "there is a GPU here"; fi
    json 'd["machine"][0]["name"] == "gpu" and d["machine"][0]["cure"]' out
    json 'all(t["status"] == "n/a" and t["reason"] for t in d["self_test"])' out
    json 'all(v["status"] == "n/a" for v in d["variants"] if v["what"].startswith("on cuda"))' out
    json 'any(v["status"] == "ok" for v in d["variants"])' out
}

@test "--json fits its schema" {
    "$PYTHON" -c 'import jsonschema' 2>/dev/null || skip "no jsonschema here"
    try doctor --json
    wants 0
    [ ! -s err ]
    "$PYTHON" -c 'import json, jsonschema, sys
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.validate(json.load(open("out")), schema)' "$SCHEMA"
}

@test "a program that isn't there is named with the way to get it" {
    mkdir empty
    PATH=$PWD/empty "$BENCH" doctor >out 2>err
    grep -A1 -E '^gnuplot +n/a +not found' out | grep -qF 'cure: apt install gnuplot-nox'
}

@test "doctor takes no operand and no option of a run" {
    try doctor me
    wants 2
    try doctor --density 0.1
    wants 2 "--density is an option of \`run\`, not of \`doctor\`"
    try run --json
    wants 2 "--json is an option of \`inspect\`"
}
