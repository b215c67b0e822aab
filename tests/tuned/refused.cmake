# What the build refuses of a table of measured ways, each with file and line: a good table is spoilt in
# one way at a time. usage: cmake -D WORK=DIR -P refused.cmake
cmake_minimum_required(VERSION 3.25)
set(_file "${WORK}/fused/tuned/some-gpu-80gb.tsv")
set(_good "# format\tortho-tuned/1
# device\tSome GPU (80GB)
# backend\tcuda
# variant\tfused
# version\tortho-bench 0.1.0
# commit\tabc
# date\t2026-11-27T00:00:00Z
# driver\t580.1
# threads\t0
# model\tmade
# rows\tsieve
# verified\tevery row
n\tk\tgroup\tm\tdensity\tdtype\tway\ttime_ns\tsecond\tratio
64\t128\t128\t8\t0.01\tfp16\tgemv\t100.5\tmma16\t1.250
64\t128\t128\t32\t0.01\tfp16\t64x64\t1e+03\t-\t-
64\t256\t128\t32\t0\tbf16\tmma16\t2000\tgemv\t2
")
set(_failures 0)

function(generate text outcome words)
    file(REMOVE_RECURSE "${WORK}")
    file(WRITE "${_file}" "${text}")
    execute_process(COMMAND ${CMAKE_COMMAND} -D "DIR=${WORK}" -D "OUT=${WORK}/table.c" -P
                            "${CMAKE_CURRENT_LIST_DIR}/generate.cmake"
                    RESULT_VARIABLE _code ERROR_VARIABLE _error OUTPUT_QUIET)
    set(${outcome} "${_code}" PARENT_SCOPE)
    string(REGEX REPLACE "[ \n]+" " " _error "${_error}")
    set(${words} "${_error}" PARENT_SCOPE)
endfunction()

# refused(from to line words): `from` of the good table replaced
function(refused from to line words)
    string(REPLACE "${from}" "${to}" _bad "${_good}")
    generate("${_bad}" _code _said)
    string(FIND "${_said}" "some-gpu-80gb.tsv:${line}: " _at)
    string(FIND "${_said}" "${words}" _there)
    if(_bad STREQUAL _good OR _code EQUAL 0 OR _at EQUAL -1 OR _there EQUAL -1)
        message("'${from}' -> '${to}': exit ${_code}, not ':${line}: ... ${words}': ${_said}")
        math(EXPR _failures "${_failures} + 1")
        set(_failures ${_failures} PARENT_SCOPE)
    endif()
endfunction()

generate("${_good}" _code _said)
if(NOT _code EQUAL 0)
    message(FATAL_ERROR "the good table is refused: ${_said}")
endif()
file(READ "${WORK}/table.c" _table)
foreach(_part "{8, \"gemv\"}" "{32, \"64x64\"}" "{64, 128, 128, 0.01, ORTHO_F16, 2, rows_0 + 0}"
        "{64, 256, 128, 0, ORTHO_BF16, 1, rows_0 + 2}"
        "{\"fused\", ORTHO_CUDA, \"Some GPU (80GB)\", 0, 2, shapes_0}")
    string(FIND "${_table}" "${_part}" _at)
    if(_at EQUAL -1)
        message(FATAL_ERROR "no ${_part} in: ${_table}")
    endif()
endforeach()

refused("# commit\tabc\n" "" 12 "the head lacks 'commit'")
refused("# commit\tabc" "# commit" 6 "key<TAB>value")
refused("# commit\tabc" "commit\tabc" 6 "key<TAB>value")
refused("# commit\tabc" "" 6 "key<TAB>value")
refused("# commit\tabc" "# comit\tabc" 6 "no key 'comit'")
refused("# commit\tabc" "# driver\tabc" 8 "'driver' once more")
refused("(80GB)" "(96GB)" 13 "some-gpu-96gb.tsv")
refused("\tfused" "\tcsr" 13 "in the folder fused")
refused("ortho-tuned/1" "ortho-tuned/2" 13 "not ortho-tuned/1")
refused("every row" "some rows" 13 "not 'every row'")
refused("\tcuda" "\tgpu" 13 "'gpu' is no backend")
refused("threads\t0" "threads\tmany" 13 "is no number of threads")
refused("\tratio" "" 13 "key<TAB>value")
refused("\tmma16\t1.250" "" 14 "8 columns, not 10")
refused("\t1.250" "\t1.250\t9" 14 "11 columns, not 10")
refused("64\t128\t128\t8" "0\t128\t128\t8" 14 "'0' is no n")
refused("64\t128\t128\t8" "64\t-128\t128\t8" 14 "'-128' is no k")
refused("64\t128\t128\t8" "64\t128\trow\t8" 14 "'row' is no group")
refused("64\t128\t128\t8" "64\t128\t128\t8.5" 14 "'8.5' is no m")
refused("64\t128\t128\t8" "64\t128\t128\t99999999999999999999" 14 "too large a m")
refused("\t8\t0.01" "\t8\t1.5" 14 "is no density")
refused("\t8\t0.01" "\t8\t1%" 14 "'1%' is no density")
refused("fp16\tgemv" "fp64\tgemv" 14 "'fp64' is no dtype")
refused("gemv\t100.5" "GEMV\t100.5" 14 "'GEMV' is no way")
refused("gemv\t100.5" "\t100.5" 14 "'' is no way")
refused("100.5" "fast" 14 "'fast' is no time")
refused("1.250" "nan" 14 "'nan' is no ratio")
refused("\t-\t-" "\t-\t1" 15 "'-' is no way")
refused("128\t32\t0.01" "128\t8\t0.01" 15 "m 8 behind m 8")
refused("64\t256\t128\t32\t0\tbf16" "64\t128\t128\t8\t0.01\tfp16" 16 "m 8 behind m 32")
refused("gemv\t2\n" "gemv\t2\n64\t128\t128\t64\t0.01\tfp16\tgemv\t1\t-\t-\n" 17 "stand together")
refused("gemv\t2\n" "gemv\t2" 1 "no newline at its end")
refused("gemv\t2\n" "gemv\t2\n\n" 17 "0 columns, not 10")
refused("Some GPU" "Some\"GPU" 1 "ASCII")
refused("Some GPU" "Some\$GPU" 1 "ASCII")
refused("Some GPU" "Some [GPU" 1 "ASCII")
refused("abc" "ab\\c" 1 "ASCII")
string(REGEX REPLACE "\n64.*$" "\n" _none "${_good}")
generate("${_none}" _code _said)
if(_code EQUAL 0 OR NOT _said MATCHES ":13: there is no case")
    message("a table without a case: exit ${_code}: ${_said}")
    math(EXPR _failures "${_failures} + 1")
endif()
generate("" _code _said)
if(_code EQUAL 0 OR NOT _said MATCHES ":1: ")
    message("an empty file: exit ${_code}: ${_said}")
    math(EXPR _failures "${_failures} + 1")
endif()
if(_failures GREATER 0)
    message(FATAL_ERROR "${_failures} failed")
endif()
