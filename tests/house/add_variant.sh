#!/usr/bin/env bash
# Follows docs/ADDING-A-VARIANT.md to the letter in a copy of the tree: every ```sh block is run, every
# ```c FILE block is written to FILE. usage: add_variant.sh SOURCE_DIR
set -euo pipefail
source_dir=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$source_dir" && tar -c --exclude=./build --exclude=./build-* --exclude=./out --exclude=./.git \
    --exclude=./.cache .) | tar -x -C "$copy"
cd "$copy"

awk '
    /^```sh$/      { kind = "sh"; next }
    /^```c /       { kind = "c"; printf "cat > %s <<\"END-OF-C\"\n", $2; next }
    /^```/ && kind { if (kind == "c") print "END-OF-C"; kind = ""; next }
    kind           { print }
' docs/ADDING-A-VARIANT.md >steps.sh
[ "$(grep -c scripts/bench steps.sh)" -ge 5 ] || { echo "the document lost its commands" >&2 && exit 1; }

bash -eux steps.sh

# The example is as clean as what it was added to.
clang-format --dry-run -Werror variants/my-way/cpu.c
touch variants/my-way/cpu.c
cmake --build --preset release >rebuild.log
! grep -n 'warning:' rebuild.log
