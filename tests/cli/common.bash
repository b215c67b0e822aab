# Shared by the suites: a folder of its own for each test, streams apart, nobody's own options.

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    export XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/config
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
    export ORTHO_BENCH_BACKEND=cpu # the same on a machine with a GPU
    unset NO_COLOR ORTHO_BENCH_STATE
    PYTHON=${ORTHO_PYTHON:-python3}
    BENCH=${ORTHO_BENCH:?path of the ortho-bench to test}
}

# try ARGUMENT...: runs ortho-bench; leaves its exit code in $code, its streams in files out, err
try() {
    code=0
    "$BENCH" "$@" >out 2>err </dev/null || code=$?
}

# wants CODE [TEXT]: the exit code, and a text that stderr holds; on a failure shows both streams
wants() {
    if [ "$code" -ne "$1" ] || { [ $# -gt 1 ] && ! grep -qF -- "$2" err; }; then
        echo "exit $code, wanted $1 ${2-}"
        echo "--- stdout" && head -40 out
        echo "--- stderr" && head -40 err
        return 1
    fi
}

# says TEXT: stdout holds it
says() {
    grep -qF -- "$1" out || { echo "stdout lacks: $1" && head -60 out && return 1; }
}

# lacks TEXT FILE...: a plain `! grep` would be ignored by bats
lacks() {
    if grep -qF -- "$@"; then
        echo "should lack: $1" && head -40 "${@:2}"
        return 1
    fi
}

# json EXPRESSION FILE: a Python expression over the document d
json() {
    "$PYTHON" -c 'import json, sys; d = json.load(open(sys.argv[2])); assert eval(sys.argv[1]), d' "$@"
}

# safetensors FILE HEADER BYTES: a file of that header and so many bytes of data
safetensors() {
    "$PYTHON" - "$@" <<'EOF'
import struct, sys
header = sys.argv[2].encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + bytes(int(sys.argv[3])))
EOF
}
