# What compare-revisions promises: both revisions built once, run in turns with the same options, a
# gate that is compare's, and nothing left behind. A repository made here, whose cmake and ortho-bench
# are scripts: no compiler, no measurement.

setup() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    export LOG=$BATS_TEST_TMPDIR/log ORTHO_CACHE=$BATS_TEST_TMPDIR/cache TMPDIR=$BATS_TEST_TMPDIR/tmp
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
    REPO=$BATS_TEST_TMPDIR/repo OUT=$BATS_TEST_TMPDIR/out
    mkdir -p "$REPO/scripts" "$BATS_TEST_TMPDIR/bin" "$TMPDIR"
    touch "$LOG"
    fake_cmake
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
    cp "$ROOT/scripts/compare-revisions" "$ROOT/scripts/lib.sh" "$REPO/scripts"
    touch "$REPO/scripts/requirements.txt" "$REPO/scripts/requirements-cuda.txt"
    printf '/build/\n/out/\n' >"$REPO/.gitignore"
    git -C "$REPO" init -q -b main
    commit base
    commit head
}

# fake_cmake: "builds" a tree by copying its file `bench`; a tree without one doesn't build
fake_cmake() {
    cat >"$BATS_TEST_TMPDIR/bin/cmake" <<'END'
#!/bin/bash
[ "$1" = --build ] || exit 0
echo "build $(cat name)" >>"$LOG"
[ ! -e hang ] || { echo hanging >>"$LOG"; sleep 20; }
[ -e bench ] || { echo 'bench.c:3: error: its reason'; exit 1; }
mkdir -p build/release/harness
cp bench build/release/harness/ortho-bench
END
    chmod +x "$BATS_TEST_TMPDIR/bin/cmake"
}

# bench NAME: an ortho-bench that logs what it is called with. $RUN_CODE, $COMPARE_CODE: its exit codes;
# a file "$HANG" makes a run hang.
bench() {
    cat <<END
#!/bin/bash
name=$1
END
    cat <<'END'
command=$1 file=''
shift
case "$command $1 $2" in
"run --dry-run --only-head") [ "$name" = head ] || { echo "unknown option --only-head" >&2; exit 2; }; exit ;;
"run --dry-run"*) exit ;;
"compare "*) [ "$name" != old ] || { echo "there is no command compare" >&2; exit 2; } ;;
esac
case "$*" in
*--threshold\ x*) echo "--threshold: x is no share" >&2; exit 2 ;;
*/none) exit 1 ;;
*junit*) [ -z "$NO_JUNIT" ] || { echo "no format junit" >&2; exit 2; } ;;
esac
echo "${XDG_STATE_HOME:-none}" >>"$LOG.state"
echo "$name $command $* $(env | grep -c '^ORTHO_BENCH_')" >>"$LOG"
for word in "$@"; do
    [ "$last" != --out ] || file=$word
    last=$word
done
[ "$command" != run ] || [ -z "$HANG" ] || [ "$(grep -c ' run ' "$LOG")" -lt "$HANG" ] || {
    echo hanging >>"$LOG"
    sleep 20
}
if [ "$command" = run ]; then
    [ "${RUN_CODE:-0}" -eq 1 ] || echo "{}" >"$file"
    exit "${RUN_CODE:-0}"
fi
if [ -n "$file" ]; then echo "report" >"$file"; else echo "the table"; fi
exit "${COMPARE_CODE:-0}"
END
}

# commit NAME: a commit and a tag of this name, whose ortho-bench calls itself so
commit() {
    bench "$1" >"$REPO/bench"
    chmod +x "$REPO/bench"
    echo "$1" >"$REPO/name"
    git -C "$REPO" add -A
    git -C "$REPO" commit -q -m "$1"
    git -C "$REPO" tag "$1"
}

compare() {
    run "$REPO/scripts/compare-revisions" "$@"
}

# left_nothing: no worktree but the repository's own, no temporary folder
left_nothing() {
    [ "$(git -C "$REPO" worktree list | wc -l)" -eq 1 ]
    [ -z "$(ls -A "$TMPDIR")" ]
}

runs() { grep -o '^[a-z]* run' "$LOG" | cut -d' ' -f1 | tr '\n' ' '; }

@test "compare-revisions explains itself and refuses what it doesn't know" {
    compare --help
    [ "$status" -eq 0 ]
    [[ "$output" == *"usage: scripts/compare-revisions BASE"* ]]
    compare
    [ "$status" -eq 1 ]
    [[ "$output" == *"which revision is the base?"* ]]
    compare base head other
    [[ "$output" == *"two revisions are compared, not 3"* ]]
    compare base --op gemm
    [ "$status" -eq 1 ]
    [[ "$output" == *"unknown argument '--op'"*"behind --"* ]]
    compare base --processes 0
    [[ "$output" == *"--processes is a number"* ]]
    compare base --out
    [[ "$output" == *"--out needs a value"* ]]
    [ ! -s "$LOG" ]
}

@test "base and head take turns, and the order alternates" {
    compare base head --processes 3 --out "$OUT"
    [ "$status" -eq 0 ]
    [ "$(runs)" = "base head head base base head " ]
    for i in 1 2 3; do
        [ -e "$OUT/base-$i.json" ]
        [ -e "$OUT/head-$i.json" ]
    done
    grep -qF "base run --quiet --out $OUT/base-2.json" "$LOG"
    [[ "$output" == *"run 6 of 6: head"* ]]
    left_nothing
}

@test "five processes of each, where nobody says" {
    compare base --out "$OUT"
    [ "$(runs | wc -w)" -eq 10 ]
}

@test "head's compare judges all of them and writes three reports" {
    compare base head --processes 2 --threshold 3% --strict --out "$OUT"
    files="$OUT/base-1.json $OUT/base-2.json vs $OUT/head-1.json $OUT/head-2.json"
    for report in "json --out $OUT/compare.json" "md --out $OUT/compare.md" "junit --out $OUT/compare.xml"; do
        grep -qF "head compare $files --threshold 3% --strict --quiet --format $report" "$LOG"
    done
    [ "$(tail -n 1 "$LOG")" = "head compare $files --threshold 3% --strict 0" ]
    [[ "$output" == *"the table"* ]]
    [ -s "$OUT/compare.json" ] && [ -s "$OUT/compare.md" ] && [ -s "$OUT/compare.xml" ]
}

@test "exit codes are the gate's" {
    for code in 0 3 4 5; do
        COMPARE_CODE=$code compare base head --processes 1 --out "$OUT-$code"
        [ "$status" -eq "$code" ]
        [ -e "$OUT-$code/compare.xml" ]
    done
    COMPARE_CODE=2 compare base head --processes 1 --out "$OUT-2"
    [ "$status" -eq 1 ]
}

@test "a report that head can't write is missed in words, the verdict stands" {
    NO_JUNIT=1 COMPARE_CODE=3 compare base head --processes 1 --out "$OUT"
    [ "$status" -eq 3 ]
    [[ "$output" == *"warning: no compare.xml: no format junit"* ]]
    [ -s "$OUT/compare.md" ]
}

@test "a threshold that is none ends it before anything is measured" {
    compare base head --threshold x --out "$OUT"
    [ "$status" -eq 1 ]
    [[ "$output" == *"--threshold: x is no share"* ]]
    [ -z "$(runs)" ]
}

@test "options behind -- reach every run as they are, the environment's places don't" {
    ORTHO_BENCH_REPORT=there ORTHO_BENCH_OUT=there compare base head --processes 1 --out "$OUT" -- \
        --variant csr --case 'a b'
    [ "$status" -eq 0 ]
    grep -qxF "base run --quiet --variant csr --case a b --out $OUT/base-1.json 0" "$LOG"
    grep -qxF "head run --quiet --variant csr --case a b --out $OUT/head-1.json 0" "$LOG"
}

@test "runs are kept out of the user's history; compare may know the machine" {
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state ORTHO_BENCH_STATE=$BATS_TEST_TMPDIR/state
    compare base head --processes 1 --out "$OUT"
    [ "$status" -eq 0 ]
    [ "$(grep -c "^$TMPDIR/" "$LOG.state")" -eq 2 ]
    [ "$(grep -cx "$XDG_STATE_HOME" "$LOG.state")" -eq 4 ]
    grep -q '^base run .* 0$' "$LOG"
}

@test "options that would take the results elsewhere are refused" {
    for flag in --out=x -ox --report --dry-run --processes --baseline=main --save-baseline; do
        compare base head --out "$OUT" -- "$flag"
        [ "$status" -eq 1 ]
        [[ "$output" == *"$flag"* || "$output" == *"give --processes before --"* ]]
    done
    [ ! -s "$LOG" ]
}

@test "options that base doesn't know end it before anything is measured" {
    compare base head --processes 1 --out "$OUT" -- --only-head
    [ "$status" -eq 1 ]
    [[ "$output" == *"unknown option --only-head"*"base, base ("*"can't run with these options"* ]]
    [ -z "$(runs)" ]
    left_nothing
}

@test "a commit is built once" {
    compare base head --processes 1 --out "$OUT-1"
    compare base head --processes 1 --out "$OUT-2"
    [ "$status" -eq 0 ]
    [[ "$output" == *"is built already"* ]]
    [ "$(grep -c '^build base' "$LOG")" -eq 1 ]
    CFLAGS=-O1 compare base head --processes 1 --out "$OUT-3"
    [ "$(grep -c '^build base' "$LOG")" -eq 2 ]
}

@test "the working tree as it is" {
    bench changed >"$REPO/bench"
    compare head . --processes 1 --out "$OUT"
    [ "$status" -eq 0 ]
    [[ "$output" == *"building the working tree"* ]]
    [[ "$output" != *"not measured"* ]]
    [ "$(runs)" = "head changed " ]
    compare base head --processes 1 --out "$OUT-2"
    [[ "$output" == *"uncommitted changes are not measured"* ]]
}

@test "a null test says that it is one" {
    compare main head --processes 1 --out "$OUT"
    [ "$status" -eq 0 ]
    [[ "$output" == *"base and head are the same"* ]]
    compare "$(git -C "$REPO" rev-parse base)" head --processes 1 --out "$OUT-2"
    [[ "$output" == *"building $(git -C "$REPO" rev-parse --short base) (some"* ]]
}

@test "a revision that isn't there" {
    compare bsae head --out "$OUT"
    [ "$status" -eq 1 ]
    [[ "$output" == *"there is no revision 'bsae'"* ]]
    [ ! -e "$OUT" ]
}

@test "a base that doesn't build shows why, and leaves nothing" {
    git -C "$REPO" rm -q bench
    git -C "$REPO" commit -q -m broken
    compare HEAD head --out "$OUT"
    [ "$status" -eq 1 ]
    [[ "$output" == *"its reason"*"base, HEAD ("*"doesn't build"* ]]
    [ -z "$(runs)" ]
    left_nothing
    [ -z "$(ls "$ORTHO_CACHE/revisions" 2>/dev/null)" ]
}

@test "a head without compare" {
    commit old
    compare base old --out "$OUT"
    [ "$status" -eq 1 ]
    [[ "$output" == *"head, old ("*"can't judge: there is no command compare"* ]]
    [ -z "$(runs)" ]
}

@test "wrong results are compare's to judge, failures are not" {
    RUN_CODE=4 COMPARE_CODE=4 compare base head --processes 1 --out "$OUT"
    [ "$status" -eq 4 ]
    RUN_CODE=1 compare base head --processes 1 --out "$OUT-1"
    [ "$status" -eq 1 ]
    [[ "$output" == *"base: run 1 failed with exit code 1"* ]]
    RUN_CODE=77 compare base head --processes 1 --out "$OUT-77"
    [ "$status" -eq 1 ]
    [[ "$output" == *"everything was skipped"* ]]
}

@test "a folder that holds other results is refused" {
    compare base head --processes 1 --out "$OUT"
    compare base head --processes 2 --out "$OUT"
    [ "$status" -eq 1 ]
    [[ "$output" == *"holds results of another comparison"* ]]
}

# interrupt COMMAND...: the terminal's Ctrl-C as soon as the log says that something hangs
interrupt() {
    local i pid
    setsid env --default-signal=INT "$@" >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- &
    pid=$!
    for ((i = 0; i < 200; i++)); do
        if grep -q '^hanging' "$LOG"; then break; fi
        sleep 0.05
    done
    kill -INT -- "-$pid"
    code=0
    wait "$pid" || code=$?
}

@test "Ctrl-C removes the worktrees and leaves the results" {
    HANG=3 interrupt "$REPO/scripts/compare-revisions" base head --out "$OUT"
    cat "$BATS_TEST_TMPDIR/said"
    [ "$code" -eq 130 ]
    grep -qF "interrupted; what was measured is in $OUT" "$BATS_TEST_TMPDIR/said"
    [ -e "$OUT/base-1.json" ] && [ -e "$OUT/head-1.json" ]
    [ "$(runs)" = "base head head " ]
    left_nothing
}

@test "Ctrl-C while a revision is built leaves no worktree and no half a binary" {
    touch "$REPO/hang"
    commit hanging
    interrupt "$REPO/scripts/compare-revisions" base hanging --out "$OUT"
    [ "$code" -eq 130 ]
    left_nothing
    [ "$(find "$ORTHO_CACHE/revisions" -name '*ortho-bench*' | wc -l)" -eq 1 ]
}
