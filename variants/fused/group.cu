/*
 * fused on CUDA: linears that share x, and which of them one launch takes. Host code only.
 */
#include "variants/fused/group.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

/* Ways that come in several forms, whose kernels take a few linears at once. */
bool is_narrow(int way)
{
    return way >= WAY_NARROW && way < WAY_NARROW + NARROW_FORMS;
}

bool is_wide(int way)
{
    return way >= WAY_WIDE && way < WAY_WIDE + WIDE_FORMS;
}

/* Can a launch in the way of one linear take another one, whose own way is `others`? One of
 * narrow.cu has entries to add to all its linears, or to none. */
bool joins(const state &s, const ortho_gemm_call &call, int way, const state &other,
           const ortho_gemm_call &other_call, int others)
{
    if (s.w.s.groups != other.w.s.groups)
        return false;
    if (is_narrow(way))
        return is_narrow(others) &&
               is_patched(s, call.alpha) == is_patched(other, other_call.alpha);
    return is_wide(way) ? is_wide(others) : (way == WAY_GEMV || way == WAY_MMA16) && others == way;
}

/* How many linears the launch of the first one takes. */
int taken_together(const void *const *states, const ortho_gemm_call *calls, int count, int way)
{
    const state &first = state_of(states, 0);
    const int most = way >= WAY_NARROW && count > GROUP_LINEARS ? GROUP_LINEARS : count;
    for (int i = 1; i < most; i++) {
        const state &other = state_of(states, i);
        if (!joins(first, calls[0], way, other, calls[i], way_of(other, calls[i])))
            return i;
    }
    return most;
}

/* The first `*count` calls, in the way of the first; *count: what was taken, if not all. */
ortho_status run_together(const void *const *states, const ortho_gemm_call *calls, int *count,
                          int way)
{
    if (way == WAY_GEMV)
        return run_few(states, calls, *count);
    if (way == WAY_MMA16)
        return run_batch(states, calls, *count);
    if (is_narrow(way))
        return run_narrow(states, calls, *count, way - WAY_NARROW);
    const state &s = state_of(states, 0);
    if (way == WAY_DIRECT)
        return run_direct(s, calls[0]);
    if (way == WAY_CUBLAS)
        return run_chunks(s, calls[0]);
    if (!is_wide(way))
        return run_once(s, calls[0], way - WAY_ONCE);
    int form = way - WAY_WIDE;
    if (*count > 1 && calls[0].way == WAY_NONE) {
        const int together = wide_group_form(states, calls, *count);
        *count = together < 0 ? 1 : *count;
        form = together < 0 ? form : together;
    }
    return run_wide(states, calls, *count, form);
}

} // namespace

ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0, taken; i < count && status == ORTHO_OK; i += taken) {
        const int way = way_of(state_of(states, i), calls[i]);
        if (way == WAY_NONE)
            return refuse_way(calls[i]);
        taken = taken_together(states + i, calls + i, count - i, way);
        status = run_together(states + i, calls + i, &taken, way);
    }
    return status;
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    return run_group(&opaque, call, 1);
}

} // namespace ortho_fused
