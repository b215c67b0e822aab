#include "datasets/fetch/remote.h"

#include "common/error.h"
#include "datasets/json.h"
#include "datasets/reject.h"
#include "datasets/safetensors_header.h"

#include <stdlib.h>
#include <string.h>

#define PROBE 65536 /* bytes of a shard asked for at first: one request for most headers */

/* A body that grows as it comes: the hub's word for its length is not believed before. */
typedef struct buffer {
    char *bytes;
    size_t length, room;
    uint64_t begin; /* of the request in the file */
} buffer;

static ortho_status take(void *ctx, uint64_t offset, const void *bytes, size_t count)
{
    buffer *b = ctx;
    size_t at = (size_t)(offset - b->begin); /* less than the request's limit */
    if (at + count + 1 > b->room) {
        size_t room = 2 * (at + count) + 1;
        char *grown = realloc(b->bytes, room);
        if (!grown)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu bytes", room);
        b->bytes = grown;
        b->room = room;
    }
    memcpy(b->bytes + at, bytes, count);
    b->length = at + count;
    return ORTHO_OK;
}

static ortho_status get(ortho_remote *remote, ortho_hub_request *r, ortho_hub_answer *answer)
{
    r->revision = remote->commit[0] ? remote->commit : remote->revision;
    r->commit = remote->commit;
    ortho_status status = ortho_hub_get(remote->hub, remote->connection, r, answer);
    if (status == ORTHO_OK)
        memcpy(remote->commit, answer->commit, sizeof remote->commit);
    return status;
}

ortho_status ortho_remote_file(ortho_remote *remote, const char *file, uint64_t limit, char **out,
                               size_t *length, ortho_hub_missing *missing)
{
    buffer b = {0};
    ortho_hub_answer answer = {0};
    ortho_hub_request r = {.file = file, .limit = limit, .sink = take, .ctx = &b};
    ortho_status status = take(&b, 0, "", 0); /* an empty file is a text, too */
    if (status == ORTHO_OK)
        status = get(remote, &r, &answer);
    *missing = answer.missing;
    if (status != ORTHO_OK) {
        free(b.bytes);
        return status;
    }
    b.bytes[answer.received] = '\0';
    *out = b.bytes;
    *length = (size_t)answer.received;
    return ORTHO_OK;
}

/* The u64 that a safetensors file begins with, held against what is legal. */
static ortho_status header_length(const buffer *b, uint64_t total, const char *shard, size_t *out)
{
    uint64_t n = 0;
    ortho_place place = {.file = shard};
    if (b->length < 8)
        return ortho_reject(ORTHO_E_FORMAT, place, "%llu bytes are too few for a header",
                            (unsigned long long)total);
    for (int i = 7; i >= 0; i--)
        n = n << 8 | (unsigned char)b->bytes[i];
    if (n > ORTHO_HEADER_LIMIT)
        return ortho_reject(ORTHO_E_FORMAT, place, "header of %llu bytes: at most %u are legal",
                            (unsigned long long)n, ORTHO_HEADER_LIMIT);
    if (n + 8 > total)
        return ortho_reject(ORTHO_E_FORMAT, place, "header of %llu bytes: the file ends at %llu",
                            (unsigned long long)n, (unsigned long long)total);
    *out = (size_t)n + 8;
    return ORTHO_OK;
}

ortho_status ortho_remote_header(ortho_remote *remote, const char *shard, ortho_shard_header *out,
                                 ortho_hub_missing *missing)
{
    buffer b = {0};
    size_t length = 0;
    ortho_hub_answer answer = {0}, rest = {0};
    ortho_hub_request r = {
        .file = shard, .ranged = true, .to_its_end = true, .end = PROBE, .sink = take, .ctx = &b};
    ortho_status status = get(remote, &r, &answer);
    *missing = answer.missing;
    if (status == ORTHO_OK)
        status = header_length(&b, answer.total, shard, &length);
    if (status == ORTHO_OK && length > b.length) {
        r.begin = b.length;
        r.end = length;
        r.to_its_end = false;
        status = get(remote, &r, &rest);
        if (status == ORTHO_OK && rest.total != answer.total)
            status = ortho_fail(ORTHO_E_FORMAT, "%s: %llu bytes long, then %llu", shard,
                                (unsigned long long)answer.total, (unsigned long long)rest.total);
    }
    if (status != ORTHO_OK) {
        free(b.bytes);
        return status;
    }
    *out = (ortho_shard_header){.bytes = b.bytes, .length = length, .total = answer.total};
    memcpy(out->etag, answer.etag, sizeof out->etag);
    return ORTHO_OK;
}

ortho_status ortho_index_parse(const char *text, size_t length, json_t **out)
{
    const char *tensor;
    json_t *root = NULL, *shard;
    ortho_json_text json = {
        .file = ORTHO_INDEX_NAME, .text = text, .length = length, .name_depth = 2};
    ortho_status status = ortho_json_parse(&json, &root);
    json_t *map = json_object_get(root, "weight_map");
    if (status == ORTHO_OK && !json_is_object(map))
        status = ortho_reject(ORTHO_E_FORMAT, (ortho_place){ORTHO_INDEX_NAME, NULL, 0},
                              "no \"weight_map\" object");
    json_object_foreach(map, tensor, shard)
    {
        const char *name = json_string_value(shard);
        if (status == ORTHO_OK && (!name || !ortho_shard_name_valid(name)))
            status = ortho_reject(
                ORTHO_E_FORMAT,
                (ortho_place){ORTHO_INDEX_NAME, tensor, ortho_json_offset(&json, tensor)},
                "its shard must be the plain name of a file beside the index");
    }
    if (status == ORTHO_OK)
        *out = json_incref(map);
    json_decref(root);
    return status;
}
