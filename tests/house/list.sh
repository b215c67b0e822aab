#!/usr/bin/env bash
# `ortho-bench list` names every variant's folder, each backend that it has here, and says in words
# what it does. usage: list.sh ORTHO_BENCH SOURCE_DIR WITH_CUDA
set -euo pipefail
listed=$("$1" list) folder=
for source in "$2"/variants/*/cpu.c "$2"/variants/*/cuda.cu; do
    folder=$(basename "$(dirname "$source")") backend=$(basename "${source%.*}")
    [ -e "$source" ] || continue
    [ "$backend" != cuda ] || [ "$3" = ON ] || continue
    grep -qE "^$folder +$backend +[a-z]+ +[a-z,]+ +[^ ]+ [^ ]+" <<<"$listed" ||
        { echo "$folder on $backend: not in the list, or without a summary" >&2 && exit 1; }
done
[ -n "$folder" ] && echo "$(wc -l <<<"$listed") lines, no folder left out"
