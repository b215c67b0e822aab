#!/usr/bin/env bash
# libortho.so exports the public API, and nothing that isn't called ortho_.
# usage: exports.sh LIBRARY HEADER
set -euo pipefail
exported=$(nm -D --defined-only "$1" | awk '{print $3}' | sed 's/@.*//' | sort -u)
declared=$(grep -oE '\bortho_[a-z0-9_]+\(' "$2" | tr -d '(' | sort -u)
foreign=$(grep -v '^ortho_' <<<"$exported" || true)
[ -z "$foreign" ] || { echo "exported, but not ortho_: $foreign" >&2 && exit 1; }
hidden=$(comm -13 <(echo "$exported") <(grep -B1 -A3 'ORTHO_API' "$2" | grep -oE '\bortho_[a-z0-9_]+\(' |
    tr -d '(' | sort -u))
[ -z "$hidden" ] || { echo "declared ORTHO_API, but not exported: $hidden" >&2 && exit 1; }
surplus=$(comm -23 <(echo "$exported") <(echo "$declared"))
[ -z "$surplus" ] || { echo "exported, but not in the public header: $surplus" >&2 && exit 1; }
echo "$(wc -l <<<"$exported") symbols, all of the public API"
