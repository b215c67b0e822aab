#!/usr/bin/env bash
# The README's table is what `ortho-bench report` makes of the committed results that it names, line
# by line: a figure can't drift from its raw data. usage: readme.sh ORTHO_BENCH SOURCE_DIR
set -euo pipefail
results=$(grep -oE 'reports/results/[a-z0-9/._-]+\.json' "$2/README.md" | head -n 1)
[ -f "$2/$results" ] || { echo "README.md names no results file that is here" >&2 && exit 1; }
lines=0
while IFS= read -r line; do
    case $line in
    time:*) break ;; # the footnotes, which the README leaves out
    '') continue ;;
    esac
    grep -qxF -- "$line" "$2/README.md" ||
        { echo "README.md lacks a line of $results: $line" >&2 && exit 1; }
    lines=$((lines + 1))
done < <("$1" report --format table --color never "$2/$results" 2>/dev/null)
[ "$lines" -gt 10 ] || { echo "only $lines lines came out of $results" >&2 && exit 1; }
echo "$lines lines of README.md are those of $results"
