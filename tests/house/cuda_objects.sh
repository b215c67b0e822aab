#!/usr/bin/env bash
# Every CUDA source of the product became an object in this build.
# usage: cuda_objects.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1 build=$2 count=0
while IFS= read -r file; do
    relative=${file#"$source_dir"/}
    top=${relative%%/*}
    object=$(find "$build/$top" -path "*.dir/${relative#*/}.o" -print -quit)
    [ -s "$object" ] || { echo "$relative: no CUDA object was made of it" >&2 && exit 1; }
    count=$((count + 1))
done < <(find "$source_dir"/{variants,kernels,lib,harness} -name '*.cu')
echo "$count CUDA sources, $count objects"
