# What bench-comment.yml writes into a pull request, with a made-up gh: the right one, one comment that
# is renewed, nothing that a foreign report could do harm with.

setup() {
    WORKFLOW=$BATS_TEST_DIRNAME/../../.github/workflows/bench-comment.yml
    "${ORTHO_PYTHON:-python3}" - "$WORKFLOW" >"$BATS_TEST_TMPDIR/script" <<'END' || skip "Python has no yaml"
import sys, yaml
print(yaml.safe_load(open(sys.argv[1]))["jobs"]["comment"]["steps"][0]["run"])
END
    command -v jq >/dev/null || skip "no jq"
    cd "$BATS_TEST_TMPDIR"
    mkdir bin
    fake_gh
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
    export REPO=o/r RUN_ID=7 RUN_URL=https://there HEAD='fork:a b$(touch harm)' HEAD_SHA=$(printf '%040d' 5)
    echo '[]' >comments.json
    echo "[{\"number\": 3, \"head\": {\"sha\": \"other\"}}, {\"number\": 4, \"head\": {\"sha\": \"$HEAD_SHA\"}}]" >pulls.json
    printf '**SAME**: 3 cases\n' >report.md
}

# fake_gh: answers from pulls.json, comments.json and report.md; logs what is written
fake_gh() {
    cat >bin/gh <<'END'
#!/bin/bash
for word in "$@"; do
    [ "$last" != --jq ] || filter=$word
    last=$word
done
case "$*" in
"run download "*) [ -e report.md ] && mkdir -p compare && cp -P report.md compare/compare.md ;;
*pulls*) printf '%s\n' "$@" >asked; jq -r "$filter" pulls.json ;;
*PATCH* | *POST*) echo "$*" >>written; cp comment.md posted ;;
*comments*) jq -r "$filter" comments.json ;;
esac
END
    chmod +x bin/gh
}

comment() { bash --noprofile --norc -eo pipefail script; }

@test "the pull request whose head was measured gets a comment" {
    comment
    [ "$(cat written)" = "api --silent --method POST repos/o/r/issues/4/comments -F body=@comment.md" ]
    [ "$(head -n 1 posted)" = "<!-- ortho-bench compare -->" ]
    grep -qF '**SAME**: 3 cases' posted
    grep -qF '(https://there)' posted
    grep -qxF 'head=fork:a b$(touch harm)' asked
    [ ! -e harm ]
}

@test "the next run renews it, and nobody else's" {
    cat >comments.json <<'END'
[{"id": 1, "user": {"login": "someone"}, "body": "<!-- ortho-bench compare --> mine"},
 {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "another workflow's"},
 {"id": 3, "user": {"login": "github-actions[bot]"}, "body": "<!-- ortho-bench compare -->\nold"},
 {"id": 4, "user": {"login": "someone"}, "body": "<!-- ortho-bench compare --> mine"},
 {"id": 5, "user": {"login": "github-actions[bot]"}, "body": "another workflow's"}]
END
    comment
    [ "$(cat written)" = "api --silent --method PATCH repos/o/r/issues/comments/3 -F body=@comment.md" ]
}

@test "no pull request has that head any more: nothing is written" {
    echo '[{"number": 3, "head": {"sha": "other"}}]' >pulls.json
    run comment
    [ "$status" -eq 0 ]
    [[ "$output" == *"no open pull request"* ]]
    [ ! -e written ]
}

@test "a run without a report says that there is none" {
    rm report.md
    comment
    grep -qF 'No comparison' posted
    ln -s /etc/passwd report.md
    comment
    grep -qF 'No comparison' posted
    run grep root posted
    [ "$status" -ne 0 ]
}

@test "a report that is too long is cut, and calls nobody" {
    { echo '@everyone'; head -c 90000 /dev/zero | tr '\0' x; } >report.md
    comment
    [ "$(wc -c <posted)" -lt 65536 ]
    grep -qF 'cut here' posted
    run grep '@everyone' posted
    [ "$status" -ne 0 ]
}
