#!/usr/bin/env bash
# One binary for machines with a GPU and without: nothing of CUDA, of the driver or of a BLAS is
# needed to start it. (What they serve for is looked up when it is used.) The library needs no network
# either: fetching is the binary's. usage: needed.sh FILE...
set -euo pipefail
for file in "$@"; do
    needed=$(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    [ -n "$needed" ] || { echo "$file: readelf names nothing that it needs" >&2 && exit 1; }
    foreign=$(grep -E '^lib(cuda|cudart|cublas|cublasLt|cusparse|nvidia-ml|nv[a-zA-Z]*|cupti|openblas)\b' \
        <<<"$needed" || true)
    [ -z "$foreign" ] || { echo "$file needs ${foreign//$'\n'/, } to start" >&2 && exit 1; }
    [[ $file != *.so* ]] || ! grep '^libcurl' <<<"$needed" ||
        { echo "$file is a library, and needs libcurl to start" >&2 && exit 1; }
    printf '%s: %s\n' "$(basename "$file")" "$(tr '\n' ' ' <<<"$needed")"
done
