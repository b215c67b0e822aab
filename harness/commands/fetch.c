/* fetch: slices of a model on the hub, into our own cache. The only command that uses a network. */
#define _GNU_SOURCE
#include "datasets/fetch/fetch.h"

#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/log.h"
#include "harness/options_table.h"
#include "harness/transfer_progress.h"

#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* What the callbacks need. */
typedef struct fetching {
    ob_transfer_view view;
    sigset_t signals; /* that end a fetch: blocked, and looked for */
    atomic_bool interrupted;
} fetching;

/* Once only: a second Ctrl-C ends the process at once, for whoever has no patience. */
static bool on_cancelled(void *ctx)
{
    fetching *f = ctx;
    if (atomic_load(&f->interrupted))
        return true;
    if (sigtimedwait(&f->signals, NULL, &(struct timespec){0}) < 0)
        return false;
    atomic_store(&f->interrupted, true);
    return true;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *label)
{
    fetching *f = ctx;
    if (atomic_load(&f->interrupted))
        pthread_sigmask(SIG_UNBLOCK, &f->signals, NULL);
    ob_transfer_show(&f->view, done, total, label);
}

static void on_note(void *ctx, const char *text)
{
    fetching *f = ctx;
    ob_transfer_note(&f->view, text);
}

static void watch_signals(fetching *f)
{
    sigemptyset(&f->signals);
    sigaddset(&f->signals, SIGINT);
    sigaddset(&f->signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &f->signals, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error like a full disk */
}

/* ---- what is told ---------------------------------------------------------------------------- */

static ortho_status print_object(json_t *object)
{
    int failed = object == NULL || json_dumpf(object, stdout, JSON_INDENT(1)) != 0;
    json_decref(object);
    if (failed && !ferror(stdout)) /* a stream that fails is main's to tell */
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a summary");
    putchar('\n');
    return ORTHO_OK;
}

static ortho_status print_summary_json(const ortho_fetch_summary *s)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:{s:I, s:I}, s:{s:I, s:I}, s:f}", "repository", s->repository,
        "revision", s->revision, "commit", s->commit, "folder", s->folder, "tensors", "wanted",
        (json_int_t)s->wanted, "fetched", (json_int_t)s->fetched, "bytes", "wanted",
        (json_int_t)s->bytes, "fetched", (json_int_t)s->fetched_bytes, "seconds", s->seconds);
    if (object != NULL && s->licence[0] != '\0')
        json_object_set_new(object, "licence", json_string(s->licence));
    return print_object(object);
}

static void print_summary(const ortho_fetch_summary *s)
{
    char all[32], now[32], rate[32];
    ob_print_bytes(s->bytes, all);
    ob_print_bytes(s->fetched_bytes, now);
    if (s->fetched == 0) {
        printf("hf:%s@%.12s: nothing to fetch: all %lld tensors (%s) are there\n", s->repository,
               s->commit, (long long)s->wanted, all);
        return;
    }
    ob_print_bytes(s->seconds > 0 ? (uint64_t)((double)s->fetched_bytes / s->seconds) : 0, rate);
    printf("%-10s hf:%s@%s\n", "model", s->repository, s->revision);
    printf("%-10s %s\n", "commit", s->commit);
    if (s->licence[0] != '\0')
        printf("%-10s %s\n", "licence", s->licence);
    printf("%-10s ", "folder");
    ob_print_safe(stdout, s->folder);
    printf("\n%-10s %lld, %s", "tensors", (long long)s->wanted, all);
    if (s->fetched < s->wanted)
        printf("; %lld of them were there", (long long)(s->wanted - s->fetched));
    printf("\n%-10s %s in %.1f s, %s/s\n", "fetched", now, s->seconds, rate);
}

static ortho_status print_verdict(const ortho_fetch_verdict *v, bool json)
{
    char bytes[32];
    ob_print_bytes(v->bytes, bytes);
    if (json)
        return print_object(json_pack("{s:s, s:s, s:s, s:{s:I, s:I}, s:I}", "repository",
                                      v->repository, "commit", v->commit, "folder", v->folder,
                                      "tensors", "checked", (json_int_t)v->checked, "damaged",
                                      (json_int_t)v->damaged, "bytes", (json_int_t)v->bytes));
    printf("hf:%s@%.12s: %lld tensors checked (%s), ", v->repository, v->commit,
           (long long)v->checked, bytes);
    if (v->damaged == 0)
        puts("all as they were fetched");
    else
        printf("%lld damaged, which the next fetch gets anew\n", (long long)v->damaged);
    return ORTHO_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static ortho_status fetch_or_check(const ortho_fetch_request *request, const ob_options *options,
                                   bool *damaged)
{
    ortho_fetch_summary summary;
    ortho_fetch_verdict verdict;
    fetching *f = request->ctx;
    ortho_status status = options->fetch_check ? ortho_fetch_check(request, &verdict)
                                               : ortho_fetch(request, &summary);
    ob_transfer_close(&f->view);
    if (status != ORTHO_OK)
        return status;
    *damaged = options->fetch_check && verdict.damaged > 0;
    if (options->fetch_check)
        return print_verdict(&verdict, options->json);
    if (options->json)
        return print_summary_json(&summary);
    print_summary(&summary);
    return ORTHO_OK;
}

static int fetch(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    fetching f = {.view = ob_transfer_open(&log)};
    int layers[OB_LIST_MAX];
    bool damaged = false;
    for (int i = 0; i < options->layers.count; i++)
        layers[i] = (int)options->layers.item[i];
    ortho_fetch_request request = {
        .spec = options->operands[0],
        .layers = layers,
        .projs = options->projections.item,
        .layer_count = options->layers.count,
        .proj_count = options->projections.count,
        .everything = options->fetch_all,
        .jobs = options->jobs,
        .cancelled = on_cancelled,
        .progress = on_progress,
        .note = on_note,
        .ctx = &f,
    };
    watch_signals(&f);
    ortho_status status = ortho_fetch_tuning_find(&request.tuning);
    if (status == ORTHO_OK)
        status = fetch_or_check(&request, options, &damaged);
    if (status == ORTHO_OK)
        return damaged ? OB_EXIT_RUNTIME : OB_EXIT_OK;
    ob_log_error(&log, "%s", ortho_last_message());
    return status == ORTHO_E_CANCELLED ? OB_EXIT_INTERRUPTED : OB_EXIT_RUNTIME;
}

extern const ob_command ob_command_fetch;
const ob_command ob_command_fetch = {
    .name = "fetch",
    .bit = OB_FOR_FETCH,
    .operands = "hf:ORG/NAME[@REVISION]",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "get slices of a model from the hub: the tensors of some layers, not all of it",
    .about =
        "Reads the headers of the model's shards by range, then the bytes of the wanted tensors "
        "and nothing else, into a cache of its own; `--model hf:ORG/NAME` then runs on them, "
        "offline. What is there isn't fetched again, what was interrupted goes on where it was, "
        "and Ctrl-C keeps what is complete. A gated model needs a token: HF_TOKEN, HF_TOKEN_PATH, "
        "$HF_HOME/token or ~/.cache/huggingface/token; it goes to the hub (HF_ENDPOINT, else "
        "https://huggingface.co) and to no other host. ORTHO_CACHE names another cache than "
        "~/.cache/ortho-bench; what lies there is under the model's licence.",
    .examples = {{"ortho-bench fetch hf:meta-llama/Llama-3.2-3B --layers 0,13,27 --proj q,down",
                  "six tensors, 208 MB, of 6.4 GB"},
                 {"ortho-bench --model hf:meta-llama/Llama-3.2-3B --layers 13 --proj down",
                  "a run on what was fetched"},
                 {"ortho-bench fetch llama-3.2-3b --layers 0", "a known model, by its short name"},
                 {"ortho-bench fetch --check hf:meta-llama/Llama-3.2-3B",
                  "is it still what was fetched?"}},
    .run = fetch,
};
