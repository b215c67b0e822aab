/* The pipeline of ortho_checkpoint_sieve: whatever the slots, the engine, the moment of a stop and
 * who else runs, the artifact is the one of a plain loop over the tensors. */
#define _GNU_SOURCE /* mkdtemp, setenv */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/pipeline_files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static const ortho_sieve_options sieve = {
    .size = sizeof sieve, .density = 0.02, .group = 64, .device = ORTHO_DEVICE_CPU, .threads = 2};

/* ---- a clock that runs ahead ----------------------------------------------------------------- */

/* A second passes with each look, so that every event of the stream is told: the linker gives us
 * the calls of the code under test. */
int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    static atomic_long looks;
    int rc = __real_clock_gettime(clock, out);
    out->tv_sec += atomic_fetch_add(&looks, 1);
    return rc;
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* One run, what it was told, and when it is to stop. */
typedef struct watch {
    int calls, stop_at; /* stop_at 0: never */
    uint64_t bytes_done, bytes_total;
    int64_t units_done;
    double seconds;
    bool backwards;
    char phases[64]; /* the first letter of each */
} watch;

static int look(void *ctx, const ortho_progress *p)
{
    watch *w = ctx;
    size_t phases = strlen(w->phases);
    bool later = p->bytes_done >= w->bytes_done && p->units_done >= w->units_done;
    bool bounded = p->bytes_done <= p->bytes_total && p->units_done <= p->units_total;
    w->backwards |= !later || !bounded || p->seconds < w->seconds || p->size != sizeof *p;
    w->backwards |= p->bytes_resumed > p->bytes_done;
    w->bytes_done = p->bytes_done;
    w->bytes_total = p->bytes_total;
    w->units_done = p->units_done;
    w->seconds = p->seconds;
    if (phases == 0 || w->phases[phases - 1] != p->phase[0])
        w->phases[phases] = p->phase[0];
    return ++w->calls == w->stop_at;
}

static ortho_status run(const char *model, const char *out, uint64_t budget, bool resume, watch *w,
                        ortho_checkpoint_report *report)
{
    ortho_checkpoint_options o = {.size = sizeof o,
                                  .sieve = &sieve,
                                  .memory_budget = budget,
                                  .resume = resume,
                                  .progress = w != NULL ? look : NULL,
                                  .progress_ctx = w};
    report->size = sizeof *report;
    ortho_status status = ortho_checkpoint_sieve(model, out, &o, report);
    assert_true(w == NULL || !w->backwards);
    return status;
}

static made_checkpoint make_model(void **state, char path[256], int layers, int shards)
{
    made_checkpoint m = {
        .folder = at(state, "model", path), .layers = layers, .shards = shards, .seed = 5};
    m.n = 96;
    m.k = 160;
    made_checkpoint_write(&m);
    return m;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Budgets from one that holds no layer to one that holds six: more memory, never fewer slots. */
static void any_slots(void **state)
{
    enum { STEP = 12345 };
    char model[256], out[256], name[32];
    made_checkpoint m = make_model(state, model, 4, 2);
    ortho_checkpoint_report report = {0};
    int refused = 0, runs = 0;
    for (uint64_t budget = STEP; report.slots < 6; budget += STEP) {
        int before = report.slots;
        snprintf(name, sizeof name, "budget-%llu", (unsigned long long)budget);
        ortho_status status = run(model, at(state, name, out), budget, false, NULL, &report);
        if (status != ORTHO_OK && before == 0) {
            assert_int_equal(status, ORTHO_E_ARGUMENT);
            says("a memory budget of");
            refused++;
            continue;
        }
        ok(status);
        assert_true(report.slots == before || report.slots == before + 1);
        assert_true(report.buffer_bytes <= budget && budget < (uint64_t)100 * STEP);
        assert_int_equal(report.layers_sieved, 8);
        same_as_reference(&m, out, &sieve);
        runs++;
    }
    assert_true(refused > 0 && runs > 12);
}

static void with_engine(void **state, const char *engine)
{
    char model[256], out[256], one[256];
    made_checkpoint m = make_model(state, model, 3, 3);
    ortho_checkpoint_report report = {0};
    watch w = {0};
    setenv("ORTHO_IO", engine, 1);
    ortho_status status = run(model, at(state, engine, out), 0, false, &w, &report);
    unsetenv("ORTHO_IO");
    if (status == ORTHO_E_UNSUPPORTED) {
        print_message("skipped: %s\n", ortho_last_message());
        skip();
    }
    ok(status);
    assert_string_equal(report.io, engine);
    assert_string_equal(w.phases, "sf");
    assert_int_equal(w.bytes_done, w.bytes_total);
    same_as_reference(&m, out, &sieve);
    m.shards = 1; /* the same tensors in one file */
    m.folder = at(state, "one", one);
    made_checkpoint_write(&m);
    ok(run(one, at(state, "out", out), 0, false, NULL, &report));
    same_as_reference(&m, out, &sieve);
}

static void threads(void **state)
{
    with_engine(state, "threads");
}

static void io_uring(void **state)
{
    with_engine(state, "io_uring");
}

/* A tensor that is copied in three pieces, and by two runs. */
static void pieces(void **state)
{
    char model[256], out[256];
    made_checkpoint m = make_model(state, model, 1, 1);
    ortho_checkpoint_report report = {0};
    watch w = {.stop_at = 5};
    m.words = (20 << 20) / m.k / 2;
    made_checkpoint_write(&m);
    assert_int_equal(run(model, at(state, "out", out), 0, false, &w, &report), ORTHO_E_CANCELLED);
    int64_t before = report.pieces_copied;
    ok(run(model, out, 0, true, NULL, &report));
    assert_int_equal(before + report.pieces_copied, 3 + 4); /* norms, positions and the odd one */
    same_as_reference(&m, out, &sieve);
}

/* Stopped at the n-th word, for every n: what has its name is whole, and the rest follows. */
static void stopped_anywhere(void **state)
{
    char model[256], whole[256], out[256], name[32];
    made_checkpoint m = make_model(state, model, 3, 3);
    ortho_checkpoint_report report = {0};
    watch all = {0};
    int64_t resumed = 0;
    ok(run(model, at(state, "whole", whole), 0, false, &all, &report));
    same_as_reference(&m, whole, &sieve);
    assert_true(all.calls > 30);
    for (int n = 1;; n++) {
        watch first = {.stop_at = n}, second = {0};
        snprintf(name, sizeof name, "stop-%d", n);
        ortho_status status = run(model, at(state, name, out), 0, false, &first, &report);
        same_files(&m, out, whole, status == ORTHO_OK);
        if (status == ORTHO_OK) {
            assert_true(n > first.calls);
            break;
        }
        assert_int_equal(status, ORTHO_E_CANCELLED);
        says("--resume");
        assert_int_equal(run(model, out, 0, false, NULL, &report), ORTHO_E_ARGUMENT);
        ok(run(model, out, n % 2 == 0 ? 400000 : 0, true, &second, &report));
        assert_int_equal(report.layers_sieved + report.pieces_copied + report.units_resumed,
                         second.units_done);
        same_files(&m, out, whole, true);
        resumed += report.units_resumed;
        ok(run(model, out, 0, true, NULL, &report)); /* nothing is left to do */
        assert_int_equal(report.layers_sieved + report.pieces_copied, 0);
    }
    assert_true(resumed > 0);
}

/* Each phase may be refused, and leaves nothing that the next run trips over. */
static void phases(void **state)
{
    static const struct {
        int stop_at;
        const char *told;
    } runs[] = {{1, "m"}, {12, "ms"}, {1, "c"}, {0, "cmsf"}};
    char model[256], out[256];
    made_checkpoint m = make_model(state, model, 3, 1);
    at(state, "out", out);
    for (int i = 0; i < 4; i++) {
        watch w = {.stop_at = runs[i].stop_at};
        ortho_checkpoint_options o = {
            .size = sizeof o, .sieve = &sieve, .resume = i > 0, .measure = 1};
        o.progress = look;
        o.progress_ctx = &w;
        ortho_status status = ortho_checkpoint_sieve(model, out, &o, NULL);
        assert_int_equal(status, runs[i].stop_at > 0 ? ORTHO_E_CANCELLED : ORTHO_OK);
        assert_string_equal(w.phases, runs[i].told);
    }
    same_as_reference(&m, out, &sieve);
}

typedef struct side {
    const char *model;
    char out[256];
    ortho_status status;
    char message[256];
} side;

static void *run_side(void *user)
{
    side *s = user;
    ortho_checkpoint_report report = {0};
    s->status = run(s->model, s->out, 0, false, NULL, &report);
    snprintf(s->message, sizeof s->message, "%s", ortho_last_message());
    return NULL;
}

static void two_at_once(void **state)
{
    char model[256];
    made_checkpoint m = make_model(state, model, 4, 2);
    side sides[2] = {{.model = model}, {.model = model}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        at(state, i == 0 ? "left" : "right", sides[i].out);
        assert_int_equal(pthread_create(&threads[i], NULL, run_side, &sides[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        if (sides[i].status != ORTHO_OK)
            fail_msg("%s", sides[i].message);
        same_as_reference(&m, sides[i].out, &sieve);
    }
}

/* A second run on the folder of the first, started from the first one's own words. */
static int run_again(void *ctx, const ortho_progress *p)
{
    side *s = ctx;
    ortho_checkpoint_options o = {.size = sizeof o, .sieve = &sieve, .resume = 1};
    if (p->units_done > 0 && s->status == ORTHO_OK) {
        s->status = ortho_checkpoint_sieve(s->model, s->out, &o, NULL);
        snprintf(s->message, sizeof s->message, "%s", ortho_last_message());
    }
    return 0;
}

static void one_folder_one_run(void **state)
{
    char model[256];
    made_checkpoint m = make_model(state, model, 2, 1);
    side s = {.model = model};
    ortho_checkpoint_options o = {.size = sizeof o, .sieve = &sieve, .progress = run_again};
    o.progress_ctx = &s;
    ok(ortho_checkpoint_sieve(model, at(state, "out", s.out), &o, NULL));
    assert_int_equal(s.status, ORTHO_E_IO);
    assert_non_null(strstr(s.message, "another run is writing there"));
    same_as_reference(&m, s.out, &sieve);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(any_slots),   IN_FOLDER(threads),          IN_FOLDER(io_uring),
        IN_FOLDER(two_at_once), IN_FOLDER(stopped_anywhere), IN_FOLDER(one_folder_one_run),
        IN_FOLDER(phases),      IN_FOLDER(pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
