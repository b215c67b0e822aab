/*
 * inspect: what a model's headers tell. Opening is checking: every rule that a header can break is
 * the reader's. Names come from hostile files: they are escaped for the terminal and for JSON.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "datasets/datasets.h"
#include "harness/commands/command.h"
#include "harness/log.h"
#include "harness/options_table.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static bool is_generated(const ortho_tensor *t)
{
    return t->file == NULL;
}

/* Bytes as stored; for a generated tensor what its shape would take. */
static uint64_t bytes_of(const ortho_tensor *t)
{
    if (!is_generated(t))
        return t->end - t->begin;
    uint64_t elements = 1;
    for (int i = 0; i < t->rank; i++)
        elements *= (uint64_t)t->shape[i];
    return elements / (uint64_t)ortho_dtype_block(t->dtype) *
           (uint64_t)ortho_dtype_block_bytes(t->dtype);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A name that isn't UTF-8 (GGUF promises none) is told with '?' for its odd bytes. */
static json_t *name_to_json(const char *name)
{
    json_t *value = json_string(name);
    if (value != NULL)
        return value;
    char plain[ORTHO_NAME_LENGTH];
    size_t n = strnlen(name, sizeof plain - 1);
    for (size_t i = 0; i < n; i++)
        plain[i] = (unsigned char)name[i] < 0x80 ? name[i] : '?';
    plain[n] = '\0';
    return json_string(plain);
}

static json_t *tensor_to_json(const ortho_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->shape[i]));
    json_t *row =
        json_pack("{s:o, s:s, s:o, s:I}", "name", name_to_json(t->name), "dtype",
                  ortho_dtype_name(t->dtype), "shape", shape, "bytes", (json_int_t)bytes_of(t));
    if (row != NULL && !is_generated(t))
        json_object_set_new(row, "range",
                            json_pack("[I, I]", (json_int_t)t->begin, (json_int_t)t->end));
    return row;
}

static ortho_status print_json(const ortho_dataset *dataset, FILE *out)
{
    json_t *rows = json_array();
    int64_t count = ortho_dataset_tensors(dataset);
    int failed = 0;
    for (int64_t i = 0; i < count && !failed; i++)
        failed = json_array_append_new(rows, tensor_to_json(ortho_dataset_tensor(dataset, i)));
    json_t *document = json_pack("{s:o}", "tensors", rows);
    failed = failed || document == NULL || json_dumpf(document, out, JSON_INDENT(1)) != 0;
    json_decref(document);
    if (failed && !ferror(out)) /* a stream that fails is main's to tell */
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld tensors", (long long)count);
    fputc('\n', out);
    return ORTHO_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_fact(FILE *out, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    fprintf(out, "%-12s ", name);
    ob_print_safe(out, value);
    fputc('\n', out);
}

static void print_facts(const ortho_dataset *dataset, FILE *out)
{
    const ortho_model_facts *facts = ortho_dataset_facts(dataset);
    print_fact(out, "model", facts->name);
    print_fact(out, "path", facts->path);
    print_fact(out, "format", facts->format);
    print_fact(out, "hash", facts->hash);
    print_fact(out, "licence", facts->licence);
    print_fact(out, "attribution", facts->attribution);
    if (facts->synthetic)
        fprintf(out, "%-12s yes: made, not trained (seed %" PRIu64 ")\n", "synthetic", facts->seed);
    if (facts->four_bit)
        fprintf(out, "%-12s 4-bit already: no claim about quality stands on it\n", "source");
    fprintf(out, "%-12s %" PRId64 "\n", "tensors", ortho_dataset_tensors(dataset));
    fprintf(out, "%-12s %" PRId64 " linear layers\n\n", "slices", ortho_dataset_slices(dataset));
}

static void print_tensor(const ortho_tensor *t, FILE *out)
{
    char shape[ORTHO_MAX_RANK * 24] = "";
    int used = 0;
    for (int i = 0; i < t->rank; i++)
        used += snprintf(shape + used, sizeof shape - (size_t)used, "%s%" PRId64, i ? "x" : "",
                         t->shape[i]);
    fprintf(out, "%-8s %-16s %14" PRIu64 " ", ortho_dtype_name(t->dtype),
            t->rank > 0 ? shape : "scalar", bytes_of(t));
    if (is_generated(t))
        fprintf(out, "%28s  ", "generated");
    else
        fprintf(out, "%13" PRIu64 "..%13" PRIu64 "  ", t->begin, t->end);
    ob_print_safe(out, t->name);
    fputc('\n', out);
}

static void print_text(const ortho_dataset *dataset, FILE *out)
{
    print_facts(dataset, out);
    fprintf(out, "%-8s %-16s %14s %28s  %s\n", "dtype", "shape", "bytes", "range", "name");
    int64_t count = ortho_dataset_tensors(dataset);
    const char *file = NULL;
    for (int64_t i = 0; i < count; i++) {
        const ortho_tensor *t = ortho_dataset_tensor(dataset, i);
        if (t->file != NULL && (file == NULL || strcmp(file, t->file) != 0)) {
            fputs("# ", out);
            ob_print_safe(out, t->file);
            fputc('\n', out);
        }
        file = t->file;
        print_tensor(t, out);
    }
}

static int inspect(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    ortho_dataset *dataset = NULL;
    ortho_status status = ortho_dataset_open(options->operands[0], &dataset);
    if (status == ORTHO_OK && options->json)
        status = print_json(dataset, stdout);
    else if (status == ORTHO_OK)
        print_text(dataset, stdout);
    ortho_dataset_close(dataset);
    if (status == ORTHO_OK)
        return OB_EXIT_OK;
    ob_log_error(&log, "%s", ortho_last_message());
    return OB_EXIT_RUNTIME;
}

extern const ob_command ob_command_inspect;
const ob_command ob_command_inspect = {
    .name = "inspect",
    .bit = OB_FOR_INSPECT,
    .operands = "MODEL|FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "check a model's headers and list its tensors",
    .about = "Reads headers only, checks everything that a header can tell, and lists name, dtype, "
             "shape (outermost first: [N, K] for a linear layer, GGUF too) and byte range of each "
             "tensor. Exits 1 with the reason when a file is not what it says.",
    .examples = {{"ortho-bench inspect model.safetensors", "a file"},
                 {"ortho-bench inspect smollm2-135m", "a known model"},
                 {"ortho-bench inspect --json model.gguf",
                  "{\"tensors\": [{\"name\", \"dtype\", \"shape\", \"bytes\", \"range\": [begin, "
                  "end]}]}"}},
    .run = inspect,
};
