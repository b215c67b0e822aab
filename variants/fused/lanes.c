/* fused, lane model of the Ortho steps on the GPU: a segment of four entries of one row a lane. A
 * lane has the four segments of a bundle that follow each other, so that all lanes work together
 * whatever the rows' lengths; only what is added where a row ends is its lanes' alone. */
#include <ortho/variant.h>

#define SEGMENT_ENTRIES 4
#define WARP            32
#define STEPS           4 /* of a bundle */
/* Instructions of a step: by all lanes; by those in which a row ends. */
#define TOGETHER 50
#define ADD      2

typedef struct bundle {
    int64_t row[WARP * STEPS]; /* of each segment, lane after lane */
    int segments;
    const ortho_lane_sink *sink;
} bundle;

void ortho_fused_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

/* Lanes whose row ends with their segment of a step; after the last step a row that goes on in the
 * next lane is added there. */
static int ends(const bundle *b, int step)
{
    int lanes = 0;
    for (int lane = 0; lane < WARP; lane++) {
        int at = lane * STEPS + step, next = at + (step < STEPS - 1 ? 1 : STEPS);
        lanes += next >= WARP * STEPS || b->row[at] != b->row[next];
    }
    return lanes;
}

static void issue(bundle *b)
{
    int64_t last = b->segments > 0 ? b->row[b->segments - 1] : 0;
    for (int i = b->segments; i < WARP * STEPS; i++)
        b->row[i] = last; /* filled up */
    for (int step = 0; step < STEPS; step++) {
        int lanes = ends(b, step);
        b->sink->issue(b->sink->ctx, WARP, TOGETHER);
        if (lanes > 0)
            b->sink->issue(b->sink->ctx, lanes, ADD);
    }
    b->segments = 0;
}

void ortho_fused_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink)
{
    bundle b = {.sink = sink};
    (void)m;
    for (int64_t row = 0; row < split->n; row++) {
        int64_t count = split->row_ptr[row + 1] - split->row_ptr[row];
        for (int64_t left = count; left > 0; left -= SEGMENT_ENTRIES) {
            b.row[b.segments++] = row;
            if (b.segments == WARP * STEPS)
                issue(&b);
        }
    }
    if (b.segments > 0)
        issue(&b);
}
