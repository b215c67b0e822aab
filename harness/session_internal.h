/*
 * session_internal.h: what the files of the session share. session.c walks the plan;
 * session_slice.c holds the one slice at work; session_gemm.c and session_sieve.c run a group of
 * cases; session_group.c does what both need (sampling, rows).
 */
#ifndef ORTHO_HARNESS_SESSION_INTERNAL_H
#define ORTHO_HARNESS_SESSION_INTERNAL_H

#include "harness/clocks.h"
#include "harness/memory.h"
#include "harness/plan.h"
#include "harness/results.h"
#include "harness/sampler.h"
#include "harness/session.h"
#include "harness/verify.h"

struct json_t;
typedef struct ob_observation ob_observation; /* session_observe.h */

/* No more copies than this, whatever the cache asks. */
#define OB_COPIES_MAX 16384
/* A verification pass over rotated copies takes about this many seconds at most: a slower operation
 * gets fewer copies, and a flush before each sample. */
#define OB_ROTATE_SECONDS 1.0
/* A busy machine may take this many times as long before copies are given up. */
#define OB_ROTATE_PATIENCE 4
/* From here on one launch is long enough to be a sample, where a flush must come before each. */
#define OB_FLUSH_NS 5e5
/* A sample lasts at least this long, in launches of one operation at least. */
#define OB_SAMPLE_NS 2e6
/* A first launch is repeated while all launches together stay below this, OB_AGAIN times at most;
 * the least counts. */
#define OB_AGAIN_NS 1e8
#define OB_AGAIN    9

/* The slice at work. */
typedef struct ob_work {
    const ortho_slice *slice;
    ortho_matrix w;
    float *hessian;             /* [k], or NULL: from the weights */
    double *exact_hessian;      /* [k] */
    ortho_activations held_out; /* h NULL: none were given */
    double signal;              /* energy of W's outputs on held_out.x (kernels/outputs.h) */
} ob_work;

typedef struct ob_session {
    const ob_options *options;
    const ob_progress *progress;
    const ob_backend *backend;
    ob_queue *queue;
    ob_nvml *nvml;           /* NULL: nothing is told of clocks */
    double first_reading_ns; /* when NVML was first read beside a sample; 0: it wasn't yet */
    ortho_dtype dtype;       /* of activations: asked for, or the backend's own */
    ob_timer timer;
    ob_plan plan;
    ortho_dataset *dataset;
    const ortho_model_facts *facts;
    int threads;
    size_t cache_bytes, memory_budget;
    /* The most that a cold sample of role CEILING reached so far, in bytes per nanosecond (GB/s):
     * of the GEMM hook, which reads, and of the sieve hook, which copies. 0: not measured. */
    double read, copy;
    double
        tensor; /* the most that a cold sample of a dense product reached, in flops a nanosecond */
    const atomic_int *interrupt;
    void *scratch; /* of the flush; allocated at the first need */
    size_t scratch_bytes;
    bool profiling;              /* the profiler was told to start */
    ob_observation *observation; /* of a child process; NULL in a run */
    ob_device_account account;   /* of all device memory lent to variants */
    struct json_t *document, *rows;
    int done; /* cases finished */
    int wrong, skipped, ambiguous, ok;
} ob_session;

/* One case of a group while it is at work. Its ctx in the operation's own file. */
typedef struct ob_lane {
    const ob_case *c;
    struct json_t *row;
    ob_memory memory; /* what the variant allocates */
    bool open;        /* memory is initialised */
    bool out;         /* failed or skipped: its row has status and reason */
    bool flush;       /* before each sample */
    bool cold;        /* the rotation, or the flush, is what cold promises */
    bool sampling;    /* what is launched now is a sample that counts */
    size_t taken;     /* such samples so far */
    bool rounds;      /* launches come in whole rounds of the copies, from copy 0 on */
    int64_t units;    /* launches that make one operation: 1, or a pass's linears */
    int64_t launches, copies, cursor;
    int64_t outputs; /* that the words of the verdict are to be told of; 0: as many as copies */
    double first_ns; /* of the first verified launch */
    /* Until then device memory rose by this at most, as the driver or CUPTI saw it, and by our own
     * account. */
    size_t device_peak, device_booked;
    ob_verdict verdict;
    ortho_cost cost;
    double tensor_ns; /* the least that its products take on tensor cores; 0: none */
    const char *before, *after;
    ob_sampler_lane sampler;
    ob_clocks clocks; /* one reading a sample */
    ob_session *session;
    ob_launches loop;
} ob_lane;

/* session_slice.c */
ortho_status ob_work_open(ob_session *s, const ortho_slice *slice, ob_work *out);
void ob_work_close(ob_work *work);
/* What a sieve of it lost. Of weights that were 4-bit already nothing is judged by held-out
 * activations. */
ortho_status ob_work_judge(const ob_session *s, const ob_work *work, const ortho_split *split,
                           ob_quality *out);
/* The split that every GEMM of a density prepares from, --ortho-rows imposed; checked. */
ortho_status ob_work_split(ob_session *s, const ob_work *work, const ob_case *c,
                           const ortho_services *services, ortho_split *out);
/* Standard normal numbers by seed, in dtype; count elements. */
void ob_fill_gaussian(void *data, ortho_dtype dtype, int64_t count, uint64_t seed);

/* ---- session_copy.c: what a GEMM works on, and what it is checked against */

/* What an output is compared with. */
enum {
    OB_TRUTH_SPLIT,
    OB_TRUTH_UNSPLIT,
    OB_TRUTH_INT8, /* the split's, with what int8 activations may lose */
    OB_TRUTHS
};

/* One slice, split, batch. work and split must live while copies are made and truths computed. */
typedef struct ob_operands {
    const ob_work *work;
    const ortho_split *split;
    int64_t n, k, m, nnz, group;
    ortho_dtype dtype;
    size_t x_bytes, y_bytes;
    void *x;                        /* the activations, host */
    void *host, *back;              /* for the y and the x that come back */
    ob_gemm_truth truth[OB_TRUTHS]; /* made at the first need */
} ob_operands;

typedef struct ob_copy {
    void *state, *x, *y, *workspace;
    size_t workspace_bytes;
    bool prepared;
    bool lent_x; /* x was there before the copy and stays after it: several copies share it */
} ob_copy;

/* What makes and runs copies of one variant. */
typedef struct ob_copier {
    const ob_session *session;
    const ortho_gemm_hooks *hooks;
    ob_memory *bench; /* what the harness lends: state, x, y, workspace */
    ortho_services services;
    ortho_activation_mode activations; /* that its states are prepared for */
    int way;                           /* that its calls ask for */
} ob_copier;

ortho_status ob_operands_open(const ob_session *s, const ob_work *work, const ortho_split *split,
                              int64_t m, ob_operands *out);
void ob_operands_close(ob_operands *operands);
/* Would the variant take them? As ortho_variant_supports. */
ortho_status ob_copier_supports(const ob_copier *c, const ortho_variant *v,
                                const ob_operands *operands);
/* The state alone of a zeroed copy, prepared; one that failed halfway is released like a whole one.
 */
ortho_status ob_copy_prepare(ob_copier *c, const ob_operands *operands, ob_copy *copy);
/* The same with its workspace, y (poisoned) and x, unless that is lent: set, with lent_x. */
ortho_status ob_copy_make(ob_copier *c, const ob_operands *operands, ob_copy *copy);
void ob_copy_release(ob_copier *c, ob_copy *copy);
ortho_status ob_copy_run(const ob_copier *c, const ob_copy *copy, int64_t m);
/* What ob_copy_run hands to the hook. */
ortho_gemm_call ob_copy_call(const ob_copier *c, const ob_copy *copy, int64_t m);
/* Checks that x is as it was, and brings y to operands->host. */
ortho_status ob_copy_fetch(const ob_copier *c, const ob_operands *operands, const ob_copy *copy);
/* Judges operands->host. */
ortho_status ob_operands_check(const ob_copier *c, ob_operands *operands, ob_verdict *verdict);
/* Both: what a copy holds now. */
ortho_status ob_copy_check(const ob_copier *c, ob_operands *operands, const ob_copy *copy,
                           ob_verdict *verdict);
ortho_cost ob_copy_cost(const ob_copier *c, const ob_operands *operands, const ob_copy *copy,
                        size_t weights);

/* session_group.c */
void ob_lane_open(ob_session *s, const ob_case *c, size_t fence, ob_lane *lane);
/* Bytes of fence beside each block. None where activity is recorded: its checks are hundreds of
 * copies to the host that would bury what the variant does, and the run itself makes them. */
size_t ob_session_fence(const ob_session *s, size_t bytes);
/* The memory's services, with the session's threads and stream. */
ortho_services ob_session_services(const ob_session *s, ob_memory *memory);
/* Called before a variant's hook: what is said if it fails and leaves no message of its own. */
void ob_expect_message(void);
void ob_lane_skip(ob_lane *lane, const char *reason);
/* A wrong result, or a hook's error: the session's exit code will say so. */
void ob_lane_fail(ob_lane *lane, const char *reason);
/* Chooses copies, launches and flush from the bytes one copy touches and its first launch. */
void ob_lane_rotate(ob_lane *lane, double copy_bytes, size_t budget);
/* Fewer copies than a cold rotation needs: the row says so. */
void ob_lane_warm(ob_lane *lane, int64_t copies);
/* Whether making copies, since `start` (ob_timer_now), takes too long: it ends with `made` ones. */
bool ob_lane_late(ob_lane *lane, double start, int64_t made);
/* What is done between the two verifications: the lanes that are in are sampled, interleaved or
 * through Google Benchmark; or replayed where nothing is to be timed; or observed, in a child. */
void ob_group_work(ob_session *s, ob_lane *lanes, int count);
void ob_group_sample(ob_session *s, ob_lane *lanes, int count);
/* For profilers: each lane that is in is launched once, cold, within its range. */
void ob_group_profile(ob_session *s, ob_lane *lanes, int count);
/* Records the launches of the lanes that are in, where the backend replays, and makes them, so that
 * the verification after sees what a replay left. */
void ob_group_replay(ob_session *s, ob_lane *lanes, int count);
/* Whether this session takes times. */
bool ob_session_times(const ob_session *s);
/* Whether its lanes rotate over copies: to be cold, where times or activity are taken. */
bool ob_session_rotates(const ob_session *s);
/* Fills the last-level cache with clean lines of something else. */
ortho_status ob_session_evict(ob_session *s);
/* Raises a ceiling to the fastest sample of a cold lane of that role: neighbours make samples
 * slower, never faster, so the fastest is the nearest to what the machine can do. */
void ob_group_ceiling(const ob_lane *lanes, int count, double *ceiling);
/* Whether a lane was faster than the ceiling allows, by more than tolerance and noise. */
bool ob_lane_beats(const ob_lane *lane, double ceiling);
/* Bytes of device memory in use now, the marks reset; and how far it has risen since at most: as
 * the driver tells (it hands memory out in blocks of 2 MiB), exactly where CUPTI looks. 0 on the
 * CPU. */
size_t ob_device_mark(ob_session *s);
/* Both into the lane. */
void ob_device_since(ob_lane *lane, size_t mark);
/* Enqueues one operation, all of its units, and doesn't wait. `lane` is an ob_lane. */
ortho_status ob_lane_enqueue(void *lane);
/* Launches number `index` alone. */
ortho_status ob_lane_launch(ob_lane *lane, int64_t index, double *ns);
/* bytes and the floor into the row; a cold lane that beats the floor is a bug and fails. */
void ob_lane_floor(ob_lane *lane, double ceiling);
/* Once verified again: time, speed-up, status into the row. */
void ob_group_report(ob_session *s, ob_lane *lanes, int count);
/* Hands the rows over, in order, and clears the lanes. */
void ob_group_finish(ob_session *s, ob_lane *lanes, int count);
/* A phase of a lane, told to whoever watches; every begin has its end. */
void ob_phase_begin(const ob_session *s, int offset, const ob_lane *lane, const char *phase);
void ob_phase_end(void);
void ob_say_note(const ob_session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* session_gemm.c, session_sieve.c: one group of cases, over the slice at work. */
ortho_status ob_gemm_group(ob_session *s, const ob_work *work, const ortho_split *split, int blob,
                           const ob_case *cases, int count);
ortho_status ob_sieve_group(ob_session *s, const ob_work *work, int blob, const ob_case *cases,
                            int count);
/* session_pass.c: every variant over all linears of the plan. */
ortho_status ob_pass_group(ob_session *s, const ob_case *cases, int count);
/* Measures what the ceilings reach over a buffer larger than the cache. */
ortho_status ob_ceilings_calibrate(ob_session *s);

#endif
