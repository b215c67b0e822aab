#include "lib/artifact.h"

#include "common/dtype.h"
#include "common/error.h"
#include "datasets/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

static const char *const suffixes[ORTHO_PARTS] = {
    [ORTHO_PART_ROW_PTR] = ".ortho.row_ptr",
    [ORTHO_PART_SCALE] = ".base.scale",
    [ORTHO_PART_VAL] = ".ortho.val",
    [ORTHO_PART_COL] = ".ortho.col",
    [ORTHO_PART_Q] = ".base.q",
};

static const char *const rules[] = {
    [ORTHO_RULE_OUTLIER] = "outlier",
    [ORTHO_RULE_RESIDUAL] = "residual",
    [ORTHO_RULE_LEGACY] = "legacy",
};

/* ---- a layer's arrays ------------------------------------------------------------------------ */

void ortho_artifact_layer_name(const char *tensor, char name[ORTHO_NAME_LENGTH])
{
    static const char weight[] = ".weight";
    size_t length = strnlen(tensor, ORTHO_NAME_LENGTH - 1), tail = sizeof weight - 1;
    if (length > tail && memcmp(tensor + length - tail, weight, tail) == 0)
        length -= tail;
    memcpy(name, tensor, length);
    name[length] = '\0';
}

const char *ortho_rule_word(ortho_rule rule)
{
    return rules[rule];
}

const char *ortho_part_suffix(ortho_part part)
{
    return suffixes[part];
}

static ortho_dtype part_dtype(const ortho_layer_facts *f, ortho_part part)
{
    switch (part) {
    case ORTHO_PART_ROW_PTR:
        return ORTHO_I32;
    case ORTHO_PART_COL:
        return f->k > 65536 ? ORTHO_U32 : ORTHO_U16;
    case ORTHO_PART_Q:
        return ORTHO_U8;
    default:
        return ORTHO_F16;
    }
}

void ortho_part_tensor(const ortho_layer_facts *f, ortho_part part, ortho_tensor *out)
{
    *out = (ortho_tensor){.dtype = part_dtype(f, part), .rank = 1, .shape = {f->nnz}};
    snprintf(out->name, sizeof out->name, "%.*s%s",
             (int)(sizeof out->name - 1 - strlen(suffixes[part])), f->name, suffixes[part]);
    if (part == ORTHO_PART_ROW_PTR)
        out->shape[0] = f->n + 1;
    if (part == ORTHO_PART_SCALE || part == ORTHO_PART_Q) {
        out->rank = 2;
        out->shape[0] = f->n;
        out->shape[1] = part == ORTHO_PART_Q ? (f->k + 1) / 2 : (f->k + f->group - 1) / f->group;
    }
    uint64_t elements = (uint64_t)out->shape[0] * (uint64_t)(out->rank == 2 ? out->shape[1] : 1);
    out->end = elements * ortho_dtype_bytes(out->dtype);
}

uint64_t ortho_part_bytes(const ortho_layer_facts *f, ortho_part part)
{
    ortho_tensor t;
    ortho_part_tensor(f, part, &t);
    return t.end;
}

const ortho_part *ortho_part_order(const ortho_layer_facts *f)
{
    static const ortho_part orders[2][ORTHO_PARTS] = {
        {ORTHO_PART_ROW_PTR, ORTHO_PART_SCALE, ORTHO_PART_VAL, ORTHO_PART_COL, ORTHO_PART_Q},
        {ORTHO_PART_ROW_PTR, ORTHO_PART_COL, ORTHO_PART_SCALE, ORTHO_PART_VAL, ORTHO_PART_Q},
    };
    return orders[f->k > 65536];
}

uint64_t ortho_part_offset(const ortho_layer_facts *f, ortho_part part)
{
    uint64_t offset = 0;
    const ortho_part *order = ortho_part_order(f);
    for (int i = 0; i < ORTHO_PARTS && order[i] != part; i++)
        offset += ortho_part_bytes(f, order[i]);
    return offset;
}

uint64_t ortho_layer_bytes(const ortho_layer_facts *f)
{
    return ortho_part_offset(f, ORTHO_PARTS);
}

void ortho_layer_view(const ortho_layer_facts *f, void *run, ortho_split *out)
{
    char *at = run;
    *out = (ortho_split){.n = f->n, .k = f->k, .nnz = f->nnz, .group = f->group};
    out->row_ptr = (int32_t *)(void *)(at + ortho_part_offset(f, ORTHO_PART_ROW_PTR));
    out->scale = (uint16_t *)(void *)(at + ortho_part_offset(f, ORTHO_PART_SCALE));
    out->val = (uint16_t *)(void *)(at + ortho_part_offset(f, ORTHO_PART_VAL));
    out->col = at + ortho_part_offset(f, ORTHO_PART_COL);
    out->q = (uint8_t *)at + ortho_part_offset(f, ORTHO_PART_Q);
}

/* ---- headers --------------------------------------------------------------------------------- */

static ortho_status no_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for an artifact's header");
}

ortho_status ortho_header_say(ortho_header *h, const char *key, const char *value)
{
    return json_object_set_new(h->metadata, key, json_string(value)) == 0 ? ORTHO_OK : no_memory();
}

ortho_status ortho_header_begin(ortho_header *h)
{
    char version[16], library[32];
    *h = (ortho_header){.root = json_object(), .metadata = json_object()};
    snprintf(version, sizeof version, "%d", ORTHO_ARTIFACT_VERSION);
    snprintf(library, sizeof library, "%d.%d.%d", ORTHO_VERSION_MAJOR, ORTHO_VERSION_MINOR,
             ORTHO_VERSION_PATCH);
    ortho_status status = h->root != NULL && h->metadata != NULL &&
                                  json_object_set(h->root, "__metadata__", h->metadata) == 0
                              ? ORTHO_OK
                              : no_memory();
    if (status == ORTHO_OK) /* loaders of PyTorch's files refuse those that don't say so */
        status = ortho_header_say(h, "format", "pt");
    if (status == ORTHO_OK)
        status = ortho_header_say(h, "ortho.artifact", version);
    if (status == ORTHO_OK)
        status = ortho_header_say(h, "ortho.version", library);
    if (status != ORTHO_OK)
        ortho_header_clear(h);
    return status;
}

void ortho_header_clear(ortho_header *h)
{
    json_decref(h->root);
    json_decref(h->metadata);
    *h = (ortho_header){0};
}

ortho_status ortho_header_add(ortho_header *h, const ortho_tensor *t)
{
    uint64_t begin = h->data_bytes, end = begin + (t->end - t->begin);
    if (json_object_get(h->root, t->name) != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "two tensors would be called \"%s\"", t->name);
    json_t *shape = json_array();
    for (int i = 0; shape != NULL && i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])) != 0) {
            json_decref(shape);
            shape = NULL;
        }
    json_t *entry = shape == NULL ? NULL
                                  : json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                                              ortho_dtype_name(t->dtype), "shape", shape,
                                              "data_offsets", (json_int_t)begin, (json_int_t)end);
    if (entry == NULL || json_object_set_new(h->root, t->name, entry) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the header's entry of \"%s\"", t->name);
    h->data_bytes = end;
    return ORTHO_OK;
}

ortho_status ortho_header_set_facts(ortho_header *h, const ortho_layer_facts *f)
{
    char key[ORTHO_NAME_LENGTH + sizeof ORTHO_LAYER_KEY];
    json_t *facts =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:f, s:s, s:s}", "tensor", f->tensor, "n",
                  (json_int_t)f->n, "k", (json_int_t)f->k, "nnz", (json_int_t)f->nnz, "group",
                  (json_int_t)f->group, "rule", rules[f->rule], "density", f->density, "hessian",
                  f->hessian, "source_xxh3", f->source[0] != '\0' ? f->source : ORTHO_NO_HASH);
    char *text = facts == NULL ? NULL : ortho_json_dump(facts, JSON_COMPACT);
    json_decref(facts);
    if (text == NULL)
        return no_memory();
    snprintf(key, sizeof key, "%s%s", ORTHO_LAYER_KEY, f->name);
    ortho_status status = ortho_header_say(h, key, text);
    free(text);
    return status;
}

ortho_status ortho_header_add_layer(ortho_header *h, const ortho_layer_facts *f)
{
    ortho_status status = ortho_header_set_facts(h, f);
    const ortho_part *order = ortho_part_order(f);
    for (int i = 0; i < ORTHO_PARTS && status == ORTHO_OK; i++) {
        ortho_tensor t;
        ortho_part_tensor(f, order[i], &t);
        status = ortho_header_add(h, &t);
    }
    return status;
}

ortho_status ortho_header_render(const ortho_header *h, char **out, size_t *bytes)
{
    char *json = ortho_json_dump(h->root, JSON_COMPACT);
    if (json == NULL)
        return no_memory();
    size_t length = strlen(json), all = (8 + length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *text = malloc(all);
    if (text != NULL) {
        for (int i = 0; i < 8; i++)
            text[i] = (char)((all - 8) >> (8 * i) & 0xff);
        for (size_t i = 8; i < all; i++)
            text[i] = i - 8 < length ? json[i - 8] : ' ';
        *out = text;
        *bytes = all;
    }
    free(json);
    return text != NULL ? ORTHO_OK : no_memory();
}

/* ---- facts, read back ------------------------------------------------------------------------ */

static bool copy_text(const json_t *from, const char *key, char *to, size_t room)
{
    const char *text = json_string_value(json_object_get(from, key));
    if (text == NULL || strlen(text) >= room)
        return false;
    strcpy(to, text);
    return true;
}

static bool parse_rule(const json_t *from, ortho_rule *out)
{
    const char *word = json_string_value(json_object_get(from, "rule"));
    for (size_t i = 0; word != NULL && i < sizeof rules / sizeof *rules; i++)
        if (strcmp(word, rules[i]) == 0) {
            *out = (ortho_rule)i;
            return true;
        }
    return false;
}

/* Sizes such that no product of theirs overflows. */
static bool sane(const ortho_layer_facts *f)
{
    return f->n >= 1 && f->n < INT32_MAX && f->k >= 1 && f->k <= INT32_MAX && f->nnz >= 0 &&
           f->nnz <= INT32_MAX && f->nnz <= f->n * f->k && f->group >= 1 && f->group <= f->k &&
           f->density >= 0 && f->density <= 1;
}

static bool parse_facts(const json_t *from, ortho_layer_facts *f)
{
    const json_t *n = json_object_get(from, "n"), *k = json_object_get(from, "k"),
                 *nnz = json_object_get(from, "nnz"), *group = json_object_get(from, "group"),
                 *density = json_object_get(from, "density");
    if (!json_is_integer(n) || !json_is_integer(k) || !json_is_integer(nnz) ||
        !json_is_integer(group) || !json_is_number(density))
        return false;
    f->n = json_integer_value(n);
    f->k = json_integer_value(k);
    f->nnz = json_integer_value(nnz);
    f->group = json_integer_value(group);
    f->density = json_number_value(density);
    return parse_rule(from, &f->rule) && copy_text(from, "tensor", f->tensor, sizeof f->tensor) &&
           copy_text(from, "hessian", f->hessian, sizeof f->hessian) &&
           copy_text(from, "source_xxh3", f->source, sizeof f->source) && sane(f);
}

ortho_status ortho_layer_facts_parse(const char *file, const char *name, const char *json,
                                     ortho_layer_facts *out)
{
    ortho_layer_facts facts = {0};
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof facts.name)
        return ortho_fail(ORTHO_E_FORMAT, "%s: a layer's name of %zu bytes", file, length);
    strcpy(facts.name, name);
    json_error_t error;
    bool lacking;
    json_t *root = ortho_json_load(json, strlen(json), &error, &lacking);
    if (lacking)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for the metadata of layer \"%s\"", file,
                          name);
    bool good = root != NULL && parse_facts(root, &facts);
    json_decref(root);
    if (!good)
        return ortho_fail(ORTHO_E_FORMAT,
                          "%s: the metadata of layer \"%s\" don't describe one: n, k, nnz, group, "
                          "density, rule, tensor, hessian and source_xxh3 are wanted",
                          file, name);
    *out = facts;
    return ORTHO_OK;
}
