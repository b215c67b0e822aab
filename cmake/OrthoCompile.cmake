# Flags that every target shares, and the SIMD level by file suffix: x_avx2.c, x_avx512.c are compiled
# for that level and called only after kernels/cpu.h said that the processor has it.

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
if(ORTHO_BENCH)
    pkg_check_modules(INIH REQUIRED IMPORTED_TARGET inih)
    pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
    pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
    pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
endif()

# io_uring, where liburing is: its archive rather than its shared library, so that what is built here
# starts on machines without it.
set(ORTHO_URING_LIBRARY "")
if(NOT ORTHO_URING STREQUAL "OFF")
    pkg_check_modules(URING liburing)
    if(URING_FOUND)
        find_library(ORTHO_URING_FOUND NAMES liburing.a uring HINTS ${URING_LIBRARY_DIRS})
        set(ORTHO_URING_LIBRARY "${ORTHO_URING_FOUND}")
    elseif(ORTHO_URING STREQUAL "ON")
        message(FATAL_ERROR "ORTHO_URING=ON, but liburing was not found: scripts/setup installs it")
    else()
        message(STATUS "liburing not found: files are read and written by threads alone")
    endif()
endif()

add_library(ortho_flags INTERFACE)
target_include_directories(ortho_flags INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
set(_c_only "$<COMPILE_LANGUAGE:C>")
set(_c_cxx "$<COMPILE_LANGUAGE:C,CXX>")
target_compile_options(ortho_flags INTERFACE
    "$<${_c_cxx}:-Wall;-Wextra;-Wshadow;-Wundef;-fno-math-errno>"
    "$<${_c_only}:-Wmissing-prototypes;-Wstrict-prototypes>")
# x*y+z is one operation or two as the source says, so that every SIMD level agrees with portable C.
target_compile_options(ortho_flags INTERFACE "$<${_c_cxx}:-ffp-contract=off>")
set(_cuda_only "$<COMPILE_LANGUAGE:CUDA>")
# Line numbers cost nothing at run time, and a profiler shows the source by them.
target_compile_options(ortho_flags INTERFACE
    "$<${_cuda_only}:-lineinfo;-Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers,-fvisibility=hidden>")
if(ORTHO_WERROR)
    target_compile_options(ortho_flags INTERFACE
        "$<${_c_cxx}:-Werror>" "$<${_cuda_only}:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
if(ORTHO_COUNT_LANES)
    target_compile_definitions(ortho_flags INTERFACE ORTHO_COUNT_LANES=1)
endif()
if(ORTHO_RACECHECK)
    target_compile_definitions(ortho_flags INTERFACE $<${_cuda_only}:ORTHO_RACECHECK=1>)
endif()
foreach(_s IN LISTS ORTHO_SANITIZE)
    target_compile_options(ortho_flags INTERFACE "$<${_c_cxx}:-fsanitize=${_s};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
    target_link_options(ortho_flags INTERFACE -fsanitize=${_s})
endforeach()

function(ortho_simd_suffixes target)
    get_target_property(_sources ${target} SOURCES)
    foreach(_f IN LISTS _sources)
        if(_f MATCHES "_avx512\\.c$")
            set_source_files_properties("${_f}" PROPERTIES COMPILE_OPTIONS
                "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni")
        elseif(_f MATCHES "_avx2\\.c$")
            set_source_files_properties("${_f}" PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
        endif()
    endforeach()
endfunction()

# The GPUs of this machine, as CMake names architectures; empty without one. Hopper's own
# instructions need 90a.
function(ortho_cuda_local out)
    execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                    OUTPUT_VARIABLE _caps ERROR_QUIET RESULT_VARIABLE _code)
    set(_list "")
    if(_code EQUAL 0)
        string(REGEX MATCHALL "[0-9]+\\.[0-9]+" _caps "${_caps}")
        foreach(_cap IN LISTS _caps)
            string(REPLACE "." "" _cap "${_cap}")
            string(REGEX REPLACE "^90$" "90a" _cap "${_cap}")
            list(APPEND _list ${_cap}-real)
        endforeach()
        list(REMOVE_DUPLICATES _list)
    endif()
    set(${out} "${_list}" PARENT_SCOPE)
endfunction()

# Which GPUs to compile for, from ORTHO_CUDA_ARCHITECTURES.
function(ortho_cuda_architectures out)
    set(_list "${ORTHO_CUDA_ARCHITECTURES}")
    if(_list STREQUAL "auto")
        ortho_cuda_local(_list)
        if(NOT _list)
            set(_list developer)
        endif()
    endif()
    if(_list STREQUAL "developer")
        set(_list 90a)
    elseif(_list STREQUAL "release") # 90 beside 90a: GPUs to come can't run what is compiled for 90a
        set(_list 80-real 86-real 89-real 90-real 90a-real 100-real 120)
    endif()
    set(${out} "${_list}" PARENT_SCOPE)
endfunction()

set(ORTHO_HAVE_CUDA OFF)
if(NOT ORTHO_CUDA STREQUAL "OFF")
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        ortho_cuda_architectures(CMAKE_CUDA_ARCHITECTURES)
        enable_language(CUDA)
        if(NOT TARGET CUDA::nvToolsExt) # CMake 3.25 demands this of CUDA 13, which no longer has it
            add_library(CUDA::nvToolsExt INTERFACE IMPORTED)
        endif()
        find_package(CUDAToolkit REQUIRED)
        set(ORTHO_HAVE_CUDA ON)
    elseif(ORTHO_CUDA STREQUAL "ON")
        message(FATAL_ERROR "ORTHO_CUDA=ON, but nvcc was not found: scripts/setup --cuda installs it")
    else()
        message(STATUS "nvcc not found: building without CUDA (scripts/setup --cuda installs it)")
    endif()
endif()
