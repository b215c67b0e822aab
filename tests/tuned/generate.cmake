# cmake -D DIR=... -D OUT=... -P generate.cmake: the table of DIR/*/tuned/*.tsv, as the build makes it.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/../../cmake/OrthoTuned.cmake")
ortho_tuned_table("${OUT}" "${DIR}")
