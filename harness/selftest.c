/* What the self-test counts, what it must read, and the verdict. */
#include "harness/selftest_kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LOCAL_STORES "smsp__inst_executed_op_local_st.sum"

const ob_selftest ob_selftests[] = {
    {.name = "divergent branches",
     .metric = "smsp__sass_branch_targets_threads_divergent.sum",
     .unit = "branch",
     .kernel = OB_SELFTEST_RAMP,
     .expected = 31.0 * OB_SELFTEST_WARPS,
     .why = "lane i loops (i + 1) * 64 times: 31 times a warp one lane leaves and others stay"},
    {.name = "lanes of a loop",
     .metric = NULL,
     .unit = "lane",
     .kernel = OB_SELFTEST_RAMP,
     .expected = 16.5,
     .tolerance = 0.01,
     .why = "the same loop: the mean of 1 .. 32; the few instructions before it have all 32 lanes"},
    {.name = "bank conflicts",
     .metric = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum",
     .unit = "conflict",
     .kernel = OB_SELFTEST_BANKS,
     .expected = 31.0 * OB_SELFTEST_READS * OB_SELFTEST_WARPS,
     .tolerance = 0.01,
     .why = "all 32 lanes read other words of one bank: 31 more turns an access"},
    {.name = "DRAM reads",
     .metric = "dram__bytes_read.sum",
     .unit = "byte",
     .kernel = OB_SELFTEST_COPY,
     .expected = (double)OB_SELFTEST_BYTES,
     .tolerance = 0.02,
     .why = "a copy of 256 MiB that are not in the L2"},
    {.name = "DRAM writes",
     .metric = "dram__bytes_write.sum",
     .unit = "byte",
     .kernel = OB_SELFTEST_COPY,
     .expected = (double)OB_SELFTEST_BYTES,
     .tolerance = 0.05,
     .cached = true,
     .why = "the same copy: what the L2 still holds when the kernel ends is written later, by "
            "whoever needs the room"},
    {.name = "spills",
     .metric = LOCAL_STORES,
     .unit = "instruction",
     .kernel = OB_SELFTEST_SPILL,
     .expected = NAN,
     .why = "96 values in use and 64 registers: how many go to local memory is the compiler's "
            "choice"},
    {.name = "no spills",
     .metric = LOCAL_STORES,
     .unit = "instruction",
     .kernel = OB_SELFTEST_FMA,
     .expected = 0,
     .why = "one value in use"},
    {.name = "multiply-adds",
     .metric = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum",
     .unit = "instruction",
     .kernel = OB_SELFTEST_FMA,
     .expected = 32.0 * OB_SELFTEST_WARPS * OB_SELFTEST_FMAS,
     .why = "512 of each thread"},
};
const int ob_selftest_count = sizeof ob_selftests / sizeof *ob_selftests;

void ob_selftest_judge(const ob_selftest *test, size_t l2_bytes, const ob_counter_value *read,
                       ob_selftest_result *out)
{
    double late = test->cached ? fmin((double)l2_bytes, test->expected) : 0;
    bool any = isnan(test->expected);
    *out = (ob_selftest_result){
        .test = test,
        .least = any ? 1 : (test->expected - late) * (1 - test->tolerance),
        .most = any ? INFINITY : test->expected * (1 + test->tolerance),
        .read = NAN,
        .verdict = OB_VERDICT_NA,
    };
    if (read->code != 0 || !isfinite(read->value)) {
        snprintf(out->why, sizeof out->why, "%s",
                 read->reason != NULL ? read->reason : "no number was read");
        return;
    }
    out->read = read->value;
    bool right = read->value >= out->least && read->value <= out->most;
    out->verdict = right ? OB_VERDICT_OK : OB_VERDICT_WRONG;
}

/* The compiler may have been told the file by another path than the debugger's table has. */
static bool same_file(const char *a, const char *b)
{
    const char *last_a = strrchr(a, '/'), *last_b = strrchr(b, '/');
    return strcmp(last_a != NULL ? last_a + 1 : a, last_b != NULL ? last_b + 1 : b) == 0;
}

double ob_selftest_lanes(const ob_instruction_report *report, const ortho_loop *loop)
{
    double warps = 0, threads = 0;
    for (size_t i = 0; i < report->count; i++) {
        const ob_instruction *one = &report->instructions[i];
        if (one->line < loop->first || one->line > loop->last ||
            !same_file(one->file, loop->file) || strstr(one->function, loop->kernel) == NULL)
            continue;
        warps += (double)one->warps;
        threads += (double)one->threads;
    }
    return warps > 0 ? threads / warps : NAN;
}
