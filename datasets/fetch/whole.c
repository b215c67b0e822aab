#include "datasets/fetch/whole.h"

#include "common/error.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE      (1u << 20)
#define SHA256_HEX 64

static bool is_sha256(const char *etag)
{
    return strlen(etag) == SHA256_HEX && strspn(etag, "0123456789abcdef") == SHA256_HEX;
}

static json_t *entry_of(const ortho_transfer *x, const ortho_fetch_shard *shard)
{
    return json_object_get(json_object_get(x->store->manifest, "shards"), shard->name);
}

static bool is_due(const ortho_transfer *x, const ortho_fetch_shard *shard)
{
    const char *checked = json_string_value(json_object_get(entry_of(x, shard), "sha256"));
    ortho_manifest_tensor known;
    if (!is_sha256(shard->etag) || (checked && strcmp(checked, shard->etag) == 0))
        return false;
    for (size_t i = 0; i < shard->source->tensor_count; i++)
        if (!ortho_manifest_tensor_get(x->store->manifest, shard->source->tensors[i].name, &known))
            return false;
    return true;
}

static ortho_status hash_all(const ortho_transfer *x, const ortho_file *file, EVP_MD_CTX *sha)
{
    const ortho_fetch_request *r = x->request;
    unsigned char *piece = malloc(PIECE);
    ortho_status status =
        piece ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "%s: no memory to hash it", file->path);
    for (uint64_t at = 0; at < file->size && status == ORTHO_OK;) {
        size_t bytes = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
        r->progress(r->ctx, at, file->size, "checking a whole shard against the hub's SHA-256");
        status = ortho_file_read(file, at, piece, bytes);
        if (status == ORTHO_OK && !EVP_DigestUpdate(sha, piece, bytes))
            status = ortho_fail(ORTHO_E_INTERNAL, "libcrypto's SHA-256 fails");
        if (status == ORTHO_OK && r->cancelled(r->ctx))
            status = ortho_fail(ORTHO_E_CANCELLED, "interrupted");
        at += bytes;
    }
    free(piece);
    return status;
}

static ortho_status sha256(const ortho_transfer *x, const ortho_file *file,
                           char hex[SHA256_HEX + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    ortho_status status = ORTHO_OK;
    if (!sha || !EVP_DigestInit_ex(sha, EVP_sha256(), NULL))
        status = ortho_fail(ORTHO_E_MEMORY, "%s: no memory to hash it", file->path);
    if (status == ORTHO_OK)
        status = hash_all(x, file, sha);
    if (status == ORTHO_OK &&
        (!EVP_DigestFinal_ex(sha, digest, &length) || length != SHA256_HEX / 2))
        status = ortho_fail(ORTHO_E_INTERNAL, "libcrypto's SHA-256 fails");
    for (unsigned i = 0; i < length && status == ORTHO_OK; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(sha);
    return status;
}

static ortho_status strike(ortho_transfer *x, const ortho_fetch_shard *shard)
{
    for (size_t i = 0; i < shard->source->tensor_count; i++)
        ortho_store_strike_tensor(x->store, shard->source->tensors[i].name);
    json_object_del(json_object_get(x->store->manifest, "shards"), shard->name);
    ortho_status status = ortho_manifest_save(x->store->manifest, x->store->folder);
    if (status != ORTHO_OK)
        return status;
    return ortho_fail(
        ORTHO_E_FORMAT,
        "%s: its SHA-256 is not the one that the hub gives: all of it is dropped, and "
        "the next fetch gets it anew",
        shard->source->files[0].path);
}

static ortho_status verify(ortho_transfer *x, const ortho_fetch_shard *shard)
{
    char hex[SHA256_HEX + 1];
    ortho_status status = sha256(x, &shard->source->files[0], hex);
    if (status != ORTHO_OK)
        return status;
    if (strcmp(hex, shard->etag) != 0)
        return strike(x, shard);
    if (json_object_set_new(entry_of(x, shard), "sha256", json_string(hex)) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its manifest", shard->name);
    return ortho_manifest_save(x->store->manifest, x->store->folder);
}

ortho_status ortho_shards_verify(ortho_transfer *x)
{
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < x->shard_count && status == ORTHO_OK; i++)
        if (is_due(x, &x->shards[i]))
            status = verify(x, &x->shards[i]);
    return status;
}
