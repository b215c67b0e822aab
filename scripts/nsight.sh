# shellcheck shell=bash
# nsight.sh: what nsight-capture and ncu-capture share: where NVIDIA's profilers are, which
# ortho-bench they run, whether there is a GPU. Sourced after lib.sh, never run.

# first_program NAME OWN CANDIDATE...: prints the first that can be run: the user's OWN, PATH's, then
# the candidates, the newest version first. Fails when there is none.
first_program() {
    local name=$1 own=$2 candidate
    shift 2
    if [ -n "$own" ]; then
        [ -x "$own" ] || die "$own can't be run: it was given as the $name to take"
        printf '%s\n' "$own"
        return 0
    fi
    if command -v "$name"; then
        return 0
    fi
    while read -r candidate; do
        if [ -x "$candidate" ]; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done < <(printf '%s\n' "$@" | sort -rV)
    return 1
}

find_ncu() {
    first_program ncu "${NCU:-}" /usr/local/cuda/bin/ncu "${CUDA_HOME:-/usr/local/cuda}"/nsight-compute*/ncu \
        /opt/nvidia/nsight-compute/*/ncu
}

# Nsight Compute brings an nsys of its own, so that one is at hand wherever ncu is.
find_nsys() {
    local compute=/opt/nvidia/nsight-compute ncu
    if ncu=$(command -v ncu); then
        compute=$(dirname "$(readlink -f "$ncu")")
    fi
    first_program nsys "${NSYS:-}" /usr/local/cuda/bin/nsys /opt/nvidia/nsight-systems*/bin/nsys \
        /opt/nvidia/nsight-systems*/*/bin/nsys "$compute"/host/target-linux-*/nsys \
        /opt/nvidia/nsight-compute/*/host/target-linux-*/nsys
}

# find_bench OWN: prints the ortho-bench to run, by its absolute path
find_bench() {
    local candidate
    if [ -n "$1" ]; then
        [ -x "$1" ] || die "$1 can't be run"
        realpath "$1"
        return 0
    fi
    for candidate in "$ROOT"/build/{release,ci}/harness/ortho-bench; do
        if [ -x "$candidate" ]; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    die "no ortho-bench is built: 'make' builds one, --bin PATH names another"
}

# need_gpu BENCH: exit 77, in ortho-bench's own words, where no GPU can be used
need_gpu() {
    local said code=0
    said=$("$1" verify --backend cuda --op gemm --model random:1x1 --quiet 2>&1 >/dev/null) || code=$?
    [ "$code" -ne 77 ] || {
        printf '%s\n' "${said:-no GPU}" >&2
        exit 77
    }
}

# quoted WORD...: the words as a shell reads them, on one line; plain ones stay plain
quoted() {
    local word line=
    for word in "$@"; do
        case $word in
        '' | *[!A-Za-z0-9_./:,=@%+-]*) word="'${word//\'/\'\\\'\'}'" ;;
        esac
        line+="${line:+ }$word"
    done
    printf '%s\n' "$line"
}
