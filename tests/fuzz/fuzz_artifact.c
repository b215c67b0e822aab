/*
 * The input's first byte says what the rest is:
 *   'F'   an artifact, as a file
 *   else  n, k, nnz and group, a byte each, then the bytes of a layer's arrays, 0 where they end: a
 *         header is made for them, so that what is fuzzed is what the arrays say. Bit 7 of the
 * first byte: k is beyond 65536, and columns have 32 bits
 *
 * What the library would make a layer of is held here against the invariants, one by one and
 * slowly: whatever gets that far must keep them.
 */
#include "common/error.h"
#include "lib/arrays.h"
#include "lib/artifact_file.h"
#include "lib/layer.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST (1 << 16) /* bytes of a made file */

static uint8_t made[MOST];

static void require(bool kept)
{
    if (!kept)
        abort();
}

static void check_base(const ortho_split *s)
{
    int64_t groups = (s->k + s->group - 1) / s->group, bytes = (s->k + 1) / 2;
    for (int64_t i = 0; i < s->n * groups; i++)
        require(s->scale[i] < 0x7c00);
    for (int64_t r = 0; r < s->n && s->k % 2 != 0; r++)
        require(s->q[(r + 1) * bytes - 1] < 16);
    uint8_t last = s->q[s->n * bytes - 1]; /* it is there */
    require(last == s->q[s->n * bytes - 1]);
}

/* In the place of lib/canonical.c: no variant packs, nothing is kept. */
ortho_status ortho_layer_of(const ortho_layer_facts *facts, const ortho_split *s,
                            const ortho_layer_options *options, ortho_layer **out)
{
    (void)options, (void)out;
    require(s->n == facts->n && s->k == facts->k && s->nnz == facts->nnz && s->row_ptr[0] == 0 &&
            s->row_ptr[s->n] == s->nnz);
    check_base(s);
    for (int64_t r = 0; r < s->n; r++) {
        require(s->row_ptr[r] <= s->row_ptr[r + 1]);
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++) {
            require(ortho_split_col(s, i) < s->k);
            require(i == s->row_ptr[r] || ortho_split_col(s, i - 1) < ortho_split_col(s, i));
            require((s->val[i] & 0x7c00) != 0x7c00);
        }
    }
    return ORTHO_OK;
}

/* A file whose header agrees with itself. False: such a layer would be too large. */
static bool make_file(const uint8_t *data, size_t size)
{
    ortho_layer_facts f = {.name = "l", .rule = ORTHO_RULE_RESIDUAL};
    ortho_header header;
    char *text = NULL;
    size_t bytes = 0;
    f.n = 1 + data[1] % 32;
    f.k = 1 + data[2] + (data[0] > 127 ? 65536 : 0);
    f.nnz = data[3] % (f.n * f.k + 1);
    f.group = 1 + data[4] % (f.k < 256 ? f.k : 256);
    require(ortho_header_begin(&header) == ORTHO_OK &&
            ortho_header_add_layer(&header, &f) == ORTHO_OK &&
            ortho_header_render(&header, &text, &bytes) == ORTHO_OK);
    bool fits = bytes + header.data_bytes <= MOST;
    if (fits) {
        size_t all = (size_t)header.data_bytes, there = size - 5 < all ? size - 5 : all;
        memcpy(made, text, bytes);
        memcpy(made + bytes, data + 5, there);
        memset(made + bytes + there, 0, all - there);
        memory_file = made;
        memory_file_size = bytes + all;
    }
    free(text);
    ortho_header_clear(&header);
    return fits;
}

static void inspect_and_load(const ortho_artifact *artifact)
{
    for (int64_t i = 0; i < ortho_artifact_count(artifact); i++) {
        ortho_artifact_info info = {.size = sizeof info};
        ortho_layer *layer = NULL;
        require(ortho_artifact_inspect(artifact, i, &info) == ORTHO_OK);
        require(info.bytes > 0 && info.name[0] != '\0' && strlen(info.name) < ORTHO_NAME_LENGTH);
        ortho_status status = ortho_layer_load(artifact, info.name, NULL, &layer);
        require(status == ORTHO_OK ||
                (status == ORTHO_E_FORMAT && ortho_last_message()[0] != '\0'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ortho_artifact *artifact = NULL;
    if (size < 5)
        return 0;
    memory_file = data + 1;
    memory_file_size = size - 1;
    if (data[0] != 'F' && !make_file(data, size))
        return 0;
    ortho_status status = ortho_artifact_open("x", &artifact);
    if (status != ORTHO_OK)
        require(artifact == NULL && ortho_last_message()[0] != '\0');
    else
        inspect_and_load(artifact);
    ortho_artifact_close(artifact);
    return 0;
}
