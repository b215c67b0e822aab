#!/usr/bin/env bash
# Every table of the README and of docs/ is what its committed results give, so that a figure can't
# drift from its raw data; and the README shows at least one of the instrument's own.
# usage: readme.sh PYTHON ORTHO_BENCH SOURCE_DIR
set -euo pipefail
grep -qE '^<!-- table: instrument reports/results/[a-z0-9/._-]+\.json' "$3/README.md" ||
    { echo "README.md shows no table of the instrument" >&2 && exit 1; }
"$1" "$3/scripts/readme-tables" --check --root "$3" --bench "$2"
