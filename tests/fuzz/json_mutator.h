/* json_mutator.h: how the targets that read JSON change an input: as a tree, so that what comes out
 * is JSON again and gets past the parser. An input is one document or several with a zero byte
 * between them; one of them is changed. Now and then bytes are changed instead, for the parser. */
#ifndef ORTHO_TEST_FUZZ_JSON_MUTATOR_H
#define ORTHO_TEST_FUZZ_JSON_MUTATOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* libFuzzer's own */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* xorshift; below n */
static size_t mutator_pick(uint64_t *state, size_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (size_t)(*state >> 11) % n;
}

/* A value in its container: a list's by index, an object's by key. */
typedef struct mutator_slot {
    json_t *parent, *value;
    const char *key; /* borrowed of the parent; NULL: a list */
    size_t index, seen;
} mutator_slot;

/* Chooses one of all slots, each as likely as any other; of a list of numbers, three at most: there
 * are so many samples. */
static void mutator_choose(json_t *node, uint64_t *state, mutator_slot *out)
{
    const char *key;
    json_t *value;
    size_t i, size = json_array_size(node), step = 1;
    json_object_foreach(node, key, value)
    {
        if (mutator_pick(state, ++out->seen) == 0)
            *out = (mutator_slot){node, value, key, 0, out->seen};
        mutator_choose(value, state, out);
    }
    if (size > 3 && json_is_number(json_array_get(node, 0)))
        step = size / 3;
    for (i = mutator_pick(state, step); i < size; i += step) {
        value = json_array_get(node, i);
        if (mutator_pick(state, ++out->seen) == 0)
            *out = (mutator_slot){node, value, NULL, i, out->seen};
        mutator_choose(value, state, out);
    }
}

static json_t *mutator_number(uint64_t *state)
{
    static const json_int_t whole[] = {0,         -1,        1,         2,        3,
                                       1LL << 31, 1LL << 32, 1LL << 53, 65,       1000000,
                                       INT64_MAX, INT64_MIN, INT32_MAX, INT32_MIN};
    static const double real[] = {0.0, -0.0, 0.5, -1.0, 1e308, -1e308, 5e-324, 1e-300, 1e19, 1e-9};
    size_t i = mutator_pick(state, 24);
    return i < 14 ? json_integer(whole[i]) : json_real(real[i - 14]);
}

static json_t *mutator_text(uint64_t *state)
{
    static const char *const texts[] = {"",
                                        "ok",
                                        "ambiguous",
                                        "failed",
                                        "skipped",
                                        "pass",
                                        "n/a",
                                        "competitor",
                                        "baseline",
                                        "ceiling",
                                        "gemm",
                                        "sieve",
                                        "cuda",
                                        "cpu",
                                        "WRONG",
                                        "SLOWER",
                                        "\x01\n\t\r\x1b[31m\x7f",
                                        "%s%n%d'\"`\\",
                                        "</script><img src=x onerror=alert(1)>]]>",
                                        "=1+2",
                                        "a/b/../c",
                                        "a|b",
                                        "\xe2\x80\xae\xf0\x9f\x98\x80\xef\xbf\xbf\xc2\x85",
                                        "2026-11-24T21:40:00Z",
                                        "fp16",
                                        "q"};
    char lengthy[1601];
    size_t i = mutator_pick(state, sizeof texts / sizeof *texts + 2);
    if (i < sizeof texts / sizeof *texts)
        return json_string(texts[i]);
    for (size_t k = 0; k < 1600; k += 2) /* characters of two bytes: a cut may go through one */
        memcpy(lengthy + k, i % 2 != 0 ? "\xc3\xa9" : "<&", 2);
    lengthy[1600 - mutator_pick(state, 8) * 2] = '\0';
    return json_stringn(lengthy + (i % 2 == 0), strlen(lengthy + (i % 2 == 0)));
}

static json_t *mutator_other(uint64_t *state, const json_t *value)
{
    json_t *nest = json_null();
    switch (mutator_pick(state, 8)) {
    case 0:
        return json_true();
    case 1:
        return json_false();
    case 2:
        return json_object();
    case 3:
        return json_array();
    case 4:
        return json_pack("[O]", value);
    case 5:
        for (size_t i = mutator_pick(state, 200); i > 0; i--)
            nest = i % 2 != 0 ? json_pack("[o]", nest) : json_pack("{s:o}", "x", nest);
        return nest;
    default:
        return nest;
    }
}

static json_t *mutator_scaled(uint64_t *state, const json_t *value)
{
    static const double factors[] = {-1, 0.5, 1.001, 1.03, 1000, 1e-6, 1e30};
    double factor = factors[mutator_pick(state, 7)];
    if (!json_is_number(value))
        return mutator_number(state);
    if (json_is_integer(value))
        return json_integer(json_integer_value(value) ^ (json_int_t)mutator_pick(state, 4));
    return json_real(json_real_value(value) * factor);
}

static void mutator_set(const mutator_slot *slot, json_t *value)
{
    if (slot->key != NULL)
        json_object_set_new(slot->parent, slot->key, value);
    else
        json_array_set_new(slot->parent, slot->index, value);
}

static void mutator_delete(const mutator_slot *slot)
{
    if (slot->key != NULL)
        json_object_del(slot->parent, slot->key);
    else
        json_array_remove(slot->parent, slot->index);
}

/* In a list once or often again; in an object under the key of another slot, or any key. */
static void mutator_duplicate(const mutator_slot *slot, const mutator_slot *other, uint64_t *state)
{
    if (slot->key == NULL)
        for (size_t i = mutator_pick(state, 4) != 0 ? 1 : mutator_pick(state, 40); i > 0; i--)
            json_array_insert_new(slot->parent, slot->index, json_deep_copy(slot->value));
    else if (other->key != NULL)
        json_object_set_new(slot->parent, other->key, json_deep_copy(slot->value));
    else {
        json_t *key = mutator_text(state);
        json_object_set_new(slot->parent, json_string_value(key), json_deep_copy(slot->value));
        json_decref(key);
    }
}

static void mutator_change(json_t *document, uint64_t *state)
{
    mutator_slot slot = {0}, other = {0};
    mutator_choose(document, state, &slot);
    mutator_choose(document, state, &other);
    if (slot.parent == NULL)
        return;
    switch (mutator_pick(state, 8)) {
    case 0:
        mutator_delete(&slot);
        break;
    case 1:
        mutator_duplicate(&slot, &other, state);
        break;
    case 2:
        mutator_set(&slot, mutator_number(state));
        break;
    case 3:
        mutator_set(&slot, mutator_text(state));
        break;
    case 4:
        mutator_set(&slot, mutator_other(state, slot.value));
        break;
    case 5: /* of the same kind: what is a text stays one */
        mutator_set(&slot, json_is_string(slot.value) ? mutator_text(state)
                                                      : mutator_scaled(state, slot.value));
        break;
    default:
        mutator_set(&slot, json_deep_copy(other.value));
    }
}

/* The changed text, to be freed; NULL: this is no JSON. */
static char *mutator_text_of(const uint8_t *data, size_t size, uint64_t *state)
{
    json_t *document = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (document == NULL)
        return NULL;
    for (size_t i = 1 + mutator_pick(state, 3); i > 0; i--)
        mutator_change(document, state);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    size_t documents = 1, begin = 0, end = 0;
    for (size_t i = 0; i < size; i++)
        documents += data[i] == 0;
    for (size_t which = mutator_pick(&state, documents);; which--, begin = end + 1) {
        const uint8_t *zero = begin < size ? memchr(data + begin, 0, size - begin) : NULL;
        end = zero != NULL ? (size_t)(zero - data) : size;
        if (which == 0)
            break;
    }
    char *text = mutator_pick(&state, 30) != 0 && begin < end
                     ? mutator_text_of(data + begin, end - begin, &state)
                     : NULL;
    size_t length = text != NULL ? strlen(text) : 0;
    if (text == NULL || begin + length + (size - end) > max_size) {
        free(text);
        return LLVMFuzzerMutate(data, size, max_size);
    }
    memmove(data + begin + length, data + end, size - end);
    memcpy(data + begin, text, length);
    free(text);
    return begin + length + (size - end);
}

#endif
