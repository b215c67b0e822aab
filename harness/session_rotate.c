/* How lanes come to be cold: by rotating over copies, by a flush, by eviction; and device memory as
 * the driver, the pool, and CUPTI where it looks, saw it rise meanwhile. */
#include "harness/session_internal.h"
#include "harness/session_observe.h"

#include <jansson.h>
#include <math.h>

/* What a cache of unknown size is taken for. */
#define CACHE_UNKNOWN ((size_t)64 << 20)

static size_t flush_bytes(const ob_session *s)
{
    size_t cache = s->cache_bytes > 0 ? s->cache_bytes : CACHE_UNKNOWN;
    return (size_t)(s->backend->cold_factor * (double)cache);
}

static bool flush_ready(ob_session *s)
{
    if (s->scratch == NULL) {
        s->scratch_bytes = flush_bytes(s);
        s->scratch = s->backend->alloc(s->scratch_bytes, s->backend->space);
        if (s->scratch != NULL && s->backend->fill(s->scratch, 0, s->scratch_bytes) != ORTHO_OK) {
            s->backend->free(s->scratch, s->backend->space);
            s->scratch = NULL;
        }
    }
    return s->scratch != NULL;
}

void ob_lane_warm(ob_lane *lane, int64_t copies)
{
    lane->copies = copies;
    lane->cold = false;
    json_object_set_new(lane->row, "l2", json_string(ob_l2_name(OB_L2_WARM)));
}

bool ob_lane_late(ob_lane *lane, double start, int64_t made)
{
    double seconds = (ob_timer_now() - start) * 1e-9;
    if (seconds < OB_ROTATE_PATIENCE * OB_ROTATE_SECONDS || lane->flush)
        return false;
    ob_say_note(lane->session,
                "%s: %lld of %lld copies took %.1f s to verify, the rest is left out: labelled "
                "warm",
                lane->c->key, (long long)made, (long long)lane->copies, seconds);
    ob_lane_warm(lane, made);
    return true;
}

/* Cold by rotation where enough copies can be held and verified in time; a slow operation is cold
 * by a flush before each sample of one launch; what can be neither is labelled warm. */
void ob_lane_rotate(ob_lane *lane, double copy_bytes, size_t budget)
{
    ob_session *s = lane->session;
    lane->copies = 1;
    lane->flush = lane->cold = false;
    if (s->options->l2 != OB_L2_COLD)
        return;
    lane->cold = true;
    if (!(copy_bytes > 0))
        return; /* touches nothing: there is nothing to be warm */
    double want = ceil((double)flush_bytes(s) / copy_bytes) + 1;
    double can = floor((double)budget / copy_bytes);
    can = fmin(can, ceil(OB_ROTATE_SECONDS * 1e9 / fmax(lane->first_ns, 1)));
    can = fmax(1, fmin(can, OB_COPIES_MAX));
    if (want <= can) {
        lane->copies = (int64_t)want;
    } else if (lane->first_ns >= OB_FLUSH_NS && flush_ready(s)) {
        lane->copies = can >= 2 ? 2 : 1;
        lane->flush = true;
    } else {
        ob_lane_warm(lane, (int64_t)can);
        ob_say_note(s, "%s: %.0f copies can be held, a cold rotation needs %.0f: labelled warm",
                    lane->c->key, can, want);
    }
}

ortho_status ob_session_evict(ob_session *s)
{
    return flush_ready(s) ? s->backend->evict(s->queue, s->scratch, s->scratch_bytes)
                          : ORTHO_E_MEMORY;
}

/* ---- device memory --------------------------------------------------------------------------- */

size_t ob_device_mark(ob_session *s)
{
    size_t used, total;
    (void)s->backend->pool_high();
    s->account.peak = s->account.base = s->account.current;
    ob_observation_mark(s);
    s->backend->device_memory(&used, &total);
    return used;
}

/* What the pool had reserved at its worst may have gone back to the driver by now. */
void ob_device_since(ob_lane *lane, size_t mark)
{
    const ob_session *s = lane->session;
    size_t used, total, pool = s->backend->pool_high(), exact = ob_observation_peak(s);
    s->backend->device_memory(&used, &total);
    size_t rise = used > mark ? used - mark : 0;
    lane->device_peak = exact > 0 ? exact : pool > rise ? pool : rise;
    lane->device_booked = s->account.peak - s->account.base;
}
