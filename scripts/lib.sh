# shellcheck shell=bash
# lib.sh: what setup, bench and test share. Sourced, never run. Progress goes to stderr, so that a
# script's stdout stays what the user asked for.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${ORTHO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ortho-bench}
QUIET=${QUIET:-no}

note() { printf '== %s\n' "$*" >&2; }
say() { [ "$QUIET" = yes ] || note "$*"; } # what --quiet silences
warn() { printf '%s: warning: %s\n' "${0##*/}" "$*" >&2; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# The comment block under a script's first line is its --help.
usage() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# Folder of the private Python environment. Its name carries the requirements' hash, so a changed
# pin makes a new one, and clones that share pins share it.
venv_dir() { printf '%s/venv-%s\n' "$CACHE" "$(sha256sum "$ROOT/scripts/requirements.txt" | cut -c1-12)"; }

# Folder of the Python environment with PyTorch that `setup --torch` makes, named like venv_dir's.
torch_dir() { printf '%s/torch-%s\n' "$CACHE" "$(sha256sum "$ROOT/scripts/requirements-torch.txt" | cut -c1-12)"; }

# Folder of the CUDA toolkit that `setup --cuda` makes.
cuda_dir() { printf '%s/cuda-%s\n' "$CACHE" "$(sha256sum "$ROOT/scripts/requirements-cuda.txt" | cut -c1-12)"; }

# Prints the first nvcc that runs: the user's own, then a system's, then the one that setup --cuda
# installed. Fails when there is none.
find_nvcc() {
    local candidate
    for candidate in "${CUDACXX:-}" "$(command -v nvcc)" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" \
        /usr/local/cuda/bin/nvcc "$(cuda_dir)/bin/nvcc"; do
        if [ -n "$candidate" ] && "$candidate" --version >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Tells CMake which nvcc to take, and uses ccache where it is installed. Called before a configure.
export_toolchain() {
    local nvcc
    if nvcc=$(find_nvcc); then
        export CUDACXX=$nvcc
    fi
    if command -v ccache >/dev/null; then
        export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1 # one clone's objects serve another's
        export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
        export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
        export CMAKE_CUDA_COMPILER_LAUNCHER=${CMAKE_CUDA_COMPILER_LAUNCHER-ccache}
    fi
}

# quietly LOG COMMAND...: runs it, shows its output only when it fails.
quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        die "failed: $* (whole log: $log)"
    fi
}
