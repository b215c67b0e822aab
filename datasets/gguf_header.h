/*
 * gguf_header.h: the header of a GGUF file, version 2 or 3.
 *
 * Layout: magic, u32 version, u64 tensors, u64 keys, the key/values, the tensors' names, shapes,
 * types and offsets, padding to `general.alignment`, data. ne[0] is the fastest dimension, so that
 * a shape is reversed here into [n, k]. (llama.cpp permutes the rows of q and k: a slice is the
 * same matrix as the original's up to the order of its rows.)
 */
#ifndef ORTHO_DATASETS_GGUF_HEADER_H
#define ORTHO_DATASETS_GGUF_HEADER_H

#include "datasets/checkpoint.h"

/* Parses files[file] of the source and appends its tensors. */
ortho_status ortho_gguf_parse(ortho_source *, size_t file);

#endif
