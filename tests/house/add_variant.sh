#!/usr/bin/env bash
# Follows docs/ADDING-A-VARIANT.md to the letter in a copy of the tree. A block opened by ```sh is run and
# must succeed, ```sh exit N must end with N (any: a measurement, which a busy machine may leave
# ambiguous), ```sh cuda is run where there is an nvcc, and may end with 77 for want of a GPU; a block
# opened by ```c FILE or ```cu FILE is written to FILE. usage: add_variant.sh SOURCE_DIR
set -euo pipefail
source_dir=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$source_dir" && tar -c --exclude=./build --exclude=./build-* --exclude=./out --exclude=./.git \
    --exclude=./.cache .) | tar -x -C "$copy"
cd "$copy"

# Each block becomes blocks/NNN, its first line what the fence said.
mkdir blocks
awk '
    /^```(sh|cu? )/  { file = sprintf("blocks/%03d", ++count); print substr($0, 4) > file; next }
    /^```/          { file = "" }
    file            { print > file }
' docs/ADDING-A-VARIANT.md
[ "$(find blocks -type f | wc -l)" -ge 6 ] || { echo "the document lost its blocks" >&2 && exit 1; }

export ORTHO_BENCH_CASE_TIMEOUT=1 ORTHO_BENCH_STATE=$copy/state
for block in blocks/*; do
    read -r kind what wanted <"$block"
    tail -n +2 "$block" >body
    if [ "$kind" = c ] || [ "$kind" = cu ]; then
        cp body "$what"
        continue
    fi
    if [ "$what" = cuda ]; then
        (. scripts/lib.sh && find_nvcc >/dev/null) || continue
    fi
    printf '+ %s\n' "$(cat body)"
    code=0
    bash -eu body >said 2>&1 || code=$?
    if [ "$what" = cuda ] && [ "$code" -eq 77 ]; then
        code=0
    fi
    if [ "${wanted:-0}" != any ] && [ "$code" -ne "${wanted:-0}" ]; then
        cat said >&2
        echo "exit code $code, the document says ${wanted:-0}" >&2
        exit 1
    fi
    grep -q 'my-way' said body || { echo "my-way is not mentioned" >&2 && exit 1; }
done
find out -name '*.json' -exec grep -l '"my-way"' {} + || { echo "no result was saved" >&2 && exit 1; }

# The example is as clean as what it was added to.
clang-format --dry-run -Werror variants/my-way/cpu.c variants/my-way/cuda.cu
touch variants/my-way/cpu.c variants/my-way/cuda.cu
cmake --build --preset release >rebuild.log
! grep -n 'warning:' rebuild.log
