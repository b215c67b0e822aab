/* made_checkpoint.h: a small checkpoint in safetensors' format whose every byte is known: Llama's
 * names, weights of three dtypes, norms, and tensors whose lengths are awkward. Needs libortho's
 * public header alone. What fails ends the program: a test without its input is none. */
#ifndef ORTHO_TESTS_MADE_CHECKPOINT_H
#define ORTHO_TESTS_MADE_CHECKPOINT_H

#include <ortho/ortho.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MADE_OF_LAYER 4 /* tensors of a layer: norm, q, down, positions */

typedef struct made_checkpoint {
    const char *folder;
    int layers, shards; /* layers are dealt out to the shards in turn */
    int64_t n, k;       /* of q; down is [k, n] */
    int64_t words;      /* rows of the embedding; 0: 3 n */
    uint64_t seed;
} made_checkpoint;

typedef struct made_tensor {
    char name[96];
    ortho_dtype dtype;
    int64_t n, k; /* k = 0: of rank 1 */
    size_t bytes;
    int shard, layer; /* layer -1: none */
    bool sieved;
} made_tensor;

static inline int made_tensors(const made_checkpoint *m)
{
    return 3 + m->layers * MADE_OF_LAYER;
}

static inline size_t made_element(ortho_dtype dtype)
{
    return dtype == ORTHO_U8 ? 1 : dtype == ORTHO_F32 ? 4 : dtype == ORTHO_I64 ? 8 : 2;
}

static inline made_tensor made_sized(made_tensor t)
{
    t.bytes = (size_t)(t.n * (t.k > 0 ? t.k : 1)) * made_element(t.dtype);
    return t;
}

static inline made_tensor made_layer_tensor(const made_checkpoint *m, int layer, int which)
{
    static const char *const names[] = {"input_layernorm.weight", "self_attn.q_proj.weight",
                                        "mlp.down_proj.weight", "positions"};
    static const ortho_dtype dtypes[] = {ORTHO_BF16, ORTHO_F16, ORTHO_F32};
    made_tensor t = {.layer = layer, .shard = layer % m->shards, .n = m->k};
    snprintf(t.name, sizeof t.name, "model.layers.%d.%s", layer, names[which]);
    t.dtype = which == 3 ? ORTHO_I64 : dtypes[(layer + which) % 3];
    if (which == 1) {
        t.n = m->n;
        t.k = m->k;
    } else if (which == 2) {
        t.k = m->n;
    }
    t.sieved = which == 1 || which == 2;
    return made_sized(t);
}

static inline made_tensor made_tensor_at(const made_checkpoint *m, int index)
{
    made_tensor embedding = {.name = "model.embed_tokens.weight",
                             .dtype = ORTHO_BF16,
                             .n = m->words > 0 ? m->words : 3 * m->n,
                             .k = m->k,
                             .layer = -1};
    made_tensor norm = {.name = "model.norm.weight", .dtype = ORTHO_F32, .n = m->k, .layer = -1};
    made_tensor odd = {.name = "model.odd", .dtype = ORTHO_U8, .n = 7, .layer = -1};
    norm.shard = odd.shard = m->shards - 1;
    if (index == 0)
        return made_sized(embedding);
    if (index <= 2)
        return made_sized(index == 1 ? norm : odd);
    return made_layer_tensor(m, (index - 3) / MADE_OF_LAYER, (index - 3) % MADE_OF_LAYER);
}

/* Finite weights around 0.02, some larger: bits, so that no conversion is in between. */
static inline void made_fill(const made_checkpoint *m, int index, void *to)
{
    made_tensor t = made_tensor_at(m, index);
    uint64_t x = m->seed * 0x9e3779b97f4a7c15u + (uint64_t)index + 1;
    for (size_t i = 0; i < t.bytes / made_element(t.dtype); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t sign = x >> 63, lift = x >> 40 & 3, mantissa = (uint32_t)x & 0x7fffff;
        uint32_t large = (x >> 50 & 255) == 0 ? 5 : 0; /* an outlier */
        if (t.dtype == ORTHO_F32)
            ((uint32_t *)to)[i] = sign << 31 | (119 + lift + large) << 23 | mantissa;
        else if (t.dtype == ORTHO_BF16)
            ((uint16_t *)to)[i] =
                (uint16_t)(sign << 15 | (119 + lift + large) << 7 | mantissa >> 16);
        else if (t.dtype == ORTHO_F16)
            ((uint16_t *)to)[i] =
                (uint16_t)(sign << 15 | (7 + lift + large) << 10 | mantissa >> 13);
        else
            memcpy((char *)to + i * made_element(t.dtype), &x, made_element(t.dtype));
    }
}

static inline void made_write(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static inline const char *made_dtype(ortho_dtype dtype)
{
    return dtype == ORTHO_F32    ? "F32"
           : dtype == ORTHO_F16  ? "F16"
           : dtype == ORTHO_BF16 ? "BF16"
           : dtype == ORTHO_I64  ? "I64"
                                 : "U8";
}

static inline void made_shard_name(const made_checkpoint *m, int shard, char name[64])
{
    if (m->shards == 1)
        snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05d-of-%05d.safetensors", shard + 1, m->shards);
}

/* The header's text, and where the tensors of the shard end. */
static inline char *made_header(const made_checkpoint *m, int shard, size_t *data)
{
    char *text = NULL, shape[64];
    size_t length, at = 0;
    FILE *to = open_memstream(&text, &length);
    if (to == NULL)
        exit(1);
    fprintf(to, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < made_tensors(m); i++) {
        made_tensor t = made_tensor_at(m, i);
        if (t.shard != shard)
            continue;
        snprintf(shape, sizeof shape, t.k > 0 ? "%lld,%lld" : "%lld", (long long)t.n,
                 (long long)t.k);
        fprintf(to, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", t.name,
                made_dtype(t.dtype), shape, at, at + t.bytes);
        at += t.bytes;
    }
    fprintf(to, "}");
    fclose(to);
    *data = at;
    return text;
}

static inline void made_write_shard(const made_checkpoint *m, int shard)
{
    char path[512], name[64];
    size_t data;
    char *header = made_header(m, shard, &data);
    size_t length = strlen(header), at = 8 + length;
    char *all = malloc(at + data), *tensor = malloc(data);
    if (all == NULL || tensor == NULL)
        exit(1);
    for (int i = 0; i < 8; i++)
        all[i] = (char)(length >> (8 * i) & 255);
    memcpy(all + 8, header, length);
    for (int i = 0; i < made_tensors(m); i++) {
        made_tensor t = made_tensor_at(m, i);
        if (t.shard != shard)
            continue;
        made_fill(m, i, tensor);
        memcpy(all + at, tensor, t.bytes);
        at += t.bytes;
    }
    made_shard_name(m, shard, name);
    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    made_write(path, all, at);
    free(all);
    free(tensor);
    free(header);
}

static inline void made_write_index(const made_checkpoint *m)
{
    char path[512], name[64];
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", m->folder);
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        exit(1);
    fprintf(f, "{\"metadata\":{\"total_size\":0},\"weight_map\":{");
    for (int i = 0; i < made_tensors(m); i++) {
        made_tensor t = made_tensor_at(m, i);
        made_shard_name(m, t.shard, name);
        fprintf(f, "%s\"%s\":\"%s\"", i > 0 ? "," : "", t.name, name);
    }
    fprintf(f, "}}\n");
    fclose(f);
}

/* Makes m->folder and all that is in it. */
static inline void made_checkpoint_write(const made_checkpoint *m)
{
    static const char config[] = "{\"model_type\": \"llama\"}\n";
    char path[512];
    mkdir(m->folder, 0777);
    for (int i = 0; i < m->shards; i++)
        made_write_shard(m, i);
    if (m->shards > 1)
        made_write_index(m);
    snprintf(path, sizeof path, "%s/config.json", m->folder);
    made_write(path, config, sizeof config - 1);
}

#endif
