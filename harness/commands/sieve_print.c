#include "harness/commands/sieve_print.h"

#include "common/error.h"
#include "harness/log.h"
#include "harness/transfer_progress.h"

#include <inttypes.h>
#include <jansson.h>

/* ---- what follows from the report ------------------------------------------------------------ */

static bool is_cuda(const ortho_checkpoint_report *r)
{
    return r->device == ORTHO_DEVICE_CUDA;
}

/* False: everything was there already, so that nothing was measured. */
static bool has_run(const ortho_checkpoint_report *r)
{
    return r->io[0] != '\0';
}

/* Bytes of the source that went through; a generated one is never read. */
static uint64_t source_bytes(const ortho_checkpoint_report *r)
{
    return r->bytes_read > 0 ? r->bytes_read : r->bytes_sieved;
}

static double source_rate(const ortho_checkpoint_report *r)
{
    return r->seconds > 0 ? (double)source_bytes(r) / r->seconds : 0;
}

/* Resident memory that the run added. */
static uint64_t host_added(const ortho_checkpoint_report *r)
{
    return r->host_peak_bytes > r->host_before_bytes ? r->host_peak_bytes - r->host_before_bytes
                                                     : 0;
}

static double bits_per_weight(const ob_sieve_outcome *o)
{
    return 8 * (double)o->layer_bytes / (double)o->weights;
}

typedef struct ceiling {
    const char *name, *key;
    double rate;    /* bytes a second, alone; 0: not measured */
    double seconds; /* that this run's bytes would take at it */
} ceiling;

#define CEILINGS 5

static ceiling ceiling_of(const char *name, const char *key, double rate, uint64_t bytes)
{
    return (ceiling){name, key, rate, rate > 0 ? (double)bytes / rate : 0};
}

static void list_ceilings(const ortho_checkpoint_report *r, ceiling out[CEILINGS])
{
    out[0] = ceiling_of("reading", "read", r->read_rate, r->bytes_read);
    out[1] = ceiling_of("copying to the GPU", "copy", r->copy_rate, r->bytes_sieved);
    out[2] = ceiling_of("writing", "write", r->write_rate, r->bytes_written);
    out[3] = ceiling_of("reading and writing at once", "both", r->both_rate,
                        r->bytes_read + r->bytes_written);
    out[4] = ceiling_of("sieving", "sieve", r->sieve_rate, r->bytes_sieved);
}

/* NULL: none was measured. */
static const ceiling *find_slowest(const ceiling list[CEILINGS])
{
    const ceiling *slowest = NULL;
    for (int i = 0; i < CEILINGS; i++)
        if (list[i].seconds > 0 && (slowest == NULL || list[i].seconds > slowest->seconds))
            slowest = &list[i];
    return slowest;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_name(const char *name)
{
    printf("%-10s ", name);
}

static void print_amount(const char *before, uint64_t bytes, const char *after)
{
    char text[32];
    ob_print_bytes(bytes, text);
    printf("%s%s%s", before, text, after);
}

static void print_model(const ob_sieve_outcome *o)
{
    print_name("model");
    ob_print_safe(stdout, o->facts.name);
    if (o->facts.synthetic)
        fputs("  SYNTHETIC: made, not trained", stdout);
    if (o->facts.four_bit)
        fputs("  (4-bit already: no claim about quality stands on it)", stdout);
    putchar('\n');
    print_name("artifact");
    ob_print_safe(stdout, o->options->out);
    putchar('\n');
}

static void print_work(const ob_sieve_outcome *o)
{
    const ortho_checkpoint_report *r = &o->report;
    print_name("work");
    if (!has_run(r)) {
        puts("none: the artifact is complete");
        return;
    }
    printf("%" PRId64 " layer%s sieved, %" PRId64 " piece%s copied", r->layers_sieved,
           r->layers_sieved == 1 ? "" : "s", r->pieces_copied, r->pieces_copied == 1 ? "" : "s");
    if (r->units_resumed > 0)
        printf("; %" PRId64 " of both were there already", r->units_resumed);
    putchar('\n');
    print_name("bytes");
    print_amount(r->bytes_read > 0 ? "" : "generated ", source_bytes(r),
                 r->bytes_read > 0 ? " read, " : ", ");
    print_amount("", r->bytes_written, " written\n");
    print_name("time");
    printf("%.2f s", r->seconds);
    if (source_rate(r) > 0)
        print_amount(", ", (uint64_t)source_rate(r), "/s of the source");
    putchar('\n');
}

static void print_size(const ob_sieve_outcome *o)
{
    if (o->layers == 0)
        return;
    print_name("size");
    printf("%.3f bits a weight: %" PRId64 " layer%s, %.4g M weights", bits_per_weight(o), o->layers,
           o->layers == 1 ? "" : "s", (double)o->weights * 1e-6);
    print_amount(", ", o->layer_bytes, "\n");
}

static void print_memory(const ob_sieve_outcome *o)
{
    const ortho_checkpoint_report *r = &o->report;
    print_name("where");
    printf("%s, %d slot%s, I/O by %s\n", is_cuda(r) ? "cuda" : "cpu", (int)r->slots,
           r->slots == 1 ? "" : "s", r->io);
    print_name("memory");
    if (r->host_peak_bytes > 0)
        print_amount("host ", host_added(r), " more than before at its peak");
    else
        fputs("host: not known", stdout);
    print_amount(", buffers ", r->buffer_bytes, "");
    print_amount(" of a budget of ", o->options->memory_budget, "\n");
    if (!is_cuda(r))
        return;
    print_name("");
    print_amount("GPU ", r->device_peak_bytes, " allocated at its peak");
    print_amount(" of the same budget, ", r->device_memory_bytes, " as its driver saw it\n");
}

static void print_ceilings(const ob_sieve_outcome *o)
{
    ceiling list[CEILINGS];
    list_ceilings(&o->report, list);
    const ceiling *slowest = find_slowest(list);
    if (!has_run(&o->report) || !o->options->measure || slowest == NULL)
        return;
    print_name("alone");
    const char *between = "";
    for (int i = 0; i < CEILINGS; i++)
        if (list[i].rate > 0) {
            printf("%s%s", between, list[i].name);
            print_amount(" ", (uint64_t)list[i].rate, "/s");
            between = ", ";
        }
    putchar('\n');
    print_name("floor");
    printf("%.2f s, set by %s, the slowest part", slowest->seconds, slowest->name);
    double share = o->report.seconds > 0 ? slowest->seconds / o->report.seconds : 0;
    if (share > 1.05)
        fputs("; the run took less: something else was at work while the parts were measured",
              stdout);
    else if (share > 0)
        printf("; the run reached %.0f %% of it", 100 * share);
    putchar('\n');
}

void ob_sieve_print(const ob_sieve_outcome *o)
{
    print_model(o);
    print_work(o);
    print_size(o);
    if (has_run(&o->report))
        print_memory(o);
    print_ceilings(o);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Paths and names may hold any bytes; JSON only UTF-8. */
static json_t *text_to_json(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("?");
}

/* What isn't known is absent. */
static void set_bytes(json_t *object, const char *key, uint64_t bytes)
{
    if (bytes > 0)
        json_object_set_new(object, key, json_integer((json_int_t)bytes));
}

static void set_number(json_t *object, const char *key, double value)
{
    if (value > 0)
        json_object_set_new(object, key, json_real(value));
}

static json_t *model_to_json(const ortho_model_facts *f)
{
    json_t *model = json_pack("{s:o, s:b, s:b}", "name", text_to_json(f->name), "synthetic",
                              (int)f->synthetic, "four_bit", (int)f->four_bit);
    if (f->hash[0] != '\0')
        json_object_set_new(model, "hash", json_string(f->hash));
    if (f->licence[0] != '\0')
        json_object_set_new(model, "licence", text_to_json(f->licence));
    return model;
}

static json_t *options_to_json(const ob_options *o)
{
    json_t *all = json_pack("{s:f, s:s, s:i, s:i, s:I, s:b, s:b}", "density", o->sieve_density,
                            "rule", ob_rule_name(o->rule), "group", o->group, "threads", o->threads,
                            "memory_budget", (json_int_t)o->memory_budget, "resume", (int)o->resume,
                            "measure", (int)o->measure);
    if (o->hessian != NULL)
        json_object_set_new(all, "hessian", text_to_json(o->hessian));
    for (int i = 0; i < o->layers.count; i++) {
        if (i == 0)
            json_object_set_new(all, "layers", json_array());
        json_array_append_new(json_object_get(all, "layers"),
                              json_integer((json_int_t)o->layers.item[i]));
    }
    for (int i = 0; i < o->projections.count; i++) {
        if (i == 0)
            json_object_set_new(all, "proj", json_array());
        json_array_append_new(json_object_get(all, "proj"), json_string(o->projections.item[i]));
    }
    return all;
}

static json_t *memory_to_json(const ortho_checkpoint_report *r)
{
    json_t *memory = json_object();
    set_bytes(memory, "host_before", r->host_before_bytes);
    set_bytes(memory, "host_peak", r->host_peak_bytes);
    set_bytes(memory, "buffers", r->buffer_bytes);
    if (is_cuda(r)) {
        set_bytes(memory, "device_peak", r->device_peak_bytes);
        set_bytes(memory, "device_seen", r->device_memory_bytes);
    }
    return memory;
}

static json_t *ceilings_to_json(const ortho_checkpoint_report *r)
{
    ceiling list[CEILINGS];
    list_ceilings(r, list);
    const ceiling *slowest = find_slowest(list);
    if (slowest == NULL)
        return NULL;
    json_t *rates = json_object();
    for (int i = 0; i < CEILINGS; i++)
        set_number(rates, list[i].key, list[i].rate);
    json_t *all = json_pack("{s:o, s:f, s:s}", "bytes_per_s", rates, "floor_seconds",
                            slowest->seconds, "slowest", slowest->key);
    if (all != NULL && r->seconds > 0)
        set_number(all, "share", slowest->seconds / r->seconds);
    return all;
}

/* What was measured of a run. */
static void add_run(json_t *root, const ob_sieve_outcome *o)
{
    const ortho_checkpoint_report *r = &o->report;
    json_t *ceilings = o->options->measure ? ceilings_to_json(r) : NULL;
    json_object_set_new(root, "backend", json_string(is_cuda(r) ? "cuda" : "cpu"));
    json_object_set_new(root, "io", json_string(r->io));
    json_object_set_new(root, "slots", json_integer(r->slots));
    json_object_set_new(root, "seconds", json_real(r->seconds));
    set_number(root, "source_bytes_per_s", source_rate(r));
    json_object_set_new(root, "bytes",
                        json_pack("{s:I, s:I, s:I}", "read", (json_int_t)r->bytes_read, "written",
                                  (json_int_t)r->bytes_written, "sieved",
                                  (json_int_t)r->bytes_sieved));
    json_object_set_new(root, "memory", memory_to_json(r));
    if (ceilings != NULL)
        json_object_set_new(root, "ceilings", ceilings);
}

static json_t *to_json(const ob_sieve_outcome *o)
{
    const ortho_checkpoint_report *r = &o->report;
    json_t *units =
        json_pack("{s:I, s:I, s:I}", "layers_sieved", (json_int_t)r->layers_sieved, "pieces_copied",
                  (json_int_t)r->pieces_copied, "resumed", (json_int_t)r->units_resumed);
    set_bytes(units, "total", (uint64_t)o->units_total);
    json_t *root = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "schema", "ortho-bench-sieve/1",
                             "status", o->interrupted ? "interrupted" : "ok", "model",
                             model_to_json(&o->facts), "artifact", text_to_json(o->options->out),
                             "options", options_to_json(o->options), "units", units);
    if (root == NULL)
        return NULL;
    if (has_run(r))
        add_run(root, o);
    if (o->layers > 0)
        json_object_set_new(root, "size",
                            json_pack("{s:I, s:I, s:I, s:f}", "layers", (json_int_t)o->layers,
                                      "weights", (json_int_t)o->weights, "bytes",
                                      (json_int_t)o->layer_bytes, "bits_per_weight",
                                      bits_per_weight(o)));
    return root;
}

ortho_status ob_sieve_print_json(const ob_sieve_outcome *o)
{
    json_t *root = to_json(o);
    int failed = root == NULL || json_dumpf(root, stdout, JSON_INDENT(1)) != 0;
    json_decref(root);
    if (failed && !ferror(stdout)) /* a stream that fails is main's to tell */
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a summary");
    putchar('\n');
    return ORTHO_OK;
}
