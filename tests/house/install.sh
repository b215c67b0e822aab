#!/usr/bin/env bash
# Installs the build into an empty prefix, moves that prefix, and builds and runs a consumer against
# what is there: through pkg-config (shared and static) and through find_package.
# usage: install.sh BUILD_DIR VERSION PYTHON
set -euo pipefail
build=$1 version=$2 python=$3
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/first" >"$scratch/log"
mv "$scratch/first" "$scratch/prefix"
prefix=$scratch/prefix
lib=$(dirname "$(find "$prefix" -name libortho.so)")
export PKG_CONFIG_PATH=$lib/pkgconfig

expect() { # expect WHAT COMMAND...: runs it, demands success and a word of output
    local what=$1
    shift
    local said
    said=$("$@" 2>&1) || { echo "$what failed: $said" >&2 && exit 1; }
    [ -n "$said" ] || { echo "$what said nothing" >&2 && exit 1; }
    printf '%s: %s\n' "$what" "$(head -n 1 <<<"$said")"
}

expect "installed binary" "$prefix/bin/ortho-bench" --version
[ "$(pkg-config --modversion ortho)" = "$version" ] || { echo "ortho.pc: wrong version" >&2 && exit 1; }

# shellcheck disable=SC2046  # flags are words
{
    cc -std=c11 -Wall -Werror "$here/consumer.c" -o "$scratch/shared" $(pkg-config --cflags --libs ortho)
    expect "pkg-config, shared" env LD_LIBRARY_PATH="$lib" "$scratch/shared"
    cc -std=c11 -Wall -Werror "$here/consumer.c" -o "$scratch/static" \
        $(pkg-config --cflags ortho) "$lib/libortho.a" $(pkg-config --static --libs ortho |
            sed 's/-lortho//')
    expect "pkg-config, static" "$scratch/static"
}

mkdir "$scratch/consumer"
cp "$here/consumer.c" "$scratch/consumer"
cat >"$scratch/consumer/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(ortho $version REQUIRED)
add_executable(with_shared consumer.c)
target_link_libraries(with_shared PRIVATE ortho::ortho)
add_executable(with_static consumer.c)
target_link_libraries(with_static PRIVATE ortho::static)
CMAKE
cmake -S "$scratch/consumer" -B "$scratch/consumer/build" -DCMAKE_PREFIX_PATH="$prefix" >>"$scratch/log"
cmake --build "$scratch/consumer/build" >>"$scratch/log"
expect "find_package, shared" "$scratch/consumer/build/with_shared"
expect "find_package, static" "$scratch/consumer/build/with_static"

# What the tests of the library do, done with what was installed: from C, C++ and Python.
cd "$scratch"
tests=$here/../lib
# shellcheck disable=SC2046  # flags are words
{
    cc -std=c11 -Wall -Werror "$tests/example.c" -o example $(pkg-config --cflags --libs ortho) -lm
    cc -std=c11 -Wall -Werror "$tests/example_decode.c" -o decode $(pkg-config --cflags --libs ortho) -lm
    c++ -std=c++17 -Wall -Werror "$tests/smoke.cpp" -o smoke-cxx $(pkg-config --cflags --libs ortho)
}
export LD_LIBRARY_PATH=$lib
expect "sieve, save, load, forward" ./example
expect "groups, a pass" ./decode
./smoke-cxx && echo "the same from C++"
"$python" "$tests/smoke.py" "$lib/libortho.so" && echo "the same from Python"
