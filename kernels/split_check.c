/*
 * The invariants of the canonical split. Files are hostile and layers are large, so each is checked
 * twice: first a loop over an array without a branch, which the compiler vectorises and which only
 * says whether all is well; where it isn't, a plain loop finds the row.
 *
 * Columns: they ascend strictly within rows when no column is <= the one before it, but at the
 * begin of a row. So the number of descents in the whole array must be that of descents at begins
 * of rows. Then each row's last column is its largest, and the only one to be held against k.
 */
#include "kernels/split.h"

#include "common/error.h"

#include <stdio.h>

#define NOT_FINITE 0x7c00u /* fp16 with these bits: Inf or NaN; a positive number is below */

static int64_t groups_of(const ortho_split *s)
{
    return (s->k + s->group - 1) / s->group;
}

static bool fault(ortho_split_fault *out, ortho_split_array array, int64_t row, int64_t index)
{
    out->array = array;
    out->row = row;
    out->index = index;
    return true;
}

/* ---- row_ptr: it must bound every access before a column is read ----------------------------- */

static bool find_in_row_ptr(const ortho_split *s, ortho_split_fault *out)
{
    const int32_t *ptr = s->row_ptr;
    int falls = ptr[0] != 0 || ptr[s->n] != s->nnz;
    for (int64_t r = 0; r < s->n; r++)
        falls |= ptr[r] > ptr[r + 1];
    if (!falls)
        return false;
    if (ptr[0] != 0 || ptr[s->n] != s->nnz) {
        snprintf(out->what, sizeof out->what, "row_ptr runs from %d to %d, not from 0 to %lld",
                 ptr[0], ptr[s->n], (long long)s->nnz);
        return fault(out, ORTHO_SPLIT_ROW_PTR, -1, ptr[0] != 0 ? 0 : s->n);
    }
    int64_t row = 0;
    while (ptr[row] <= ptr[row + 1])
        row++;
    snprintf(out->what, sizeof out->what, "row_ptr falls from %d to %d", ptr[row], ptr[row + 1]);
    return fault(out, ORTHO_SPLIT_ROW_PTR, row, row + 1);
}

/* ---- scale, val ------------------------------------------------------------------------------ */

static bool find_in_scale(const ortho_split *s, ortho_split_fault *out)
{
    int64_t groups = groups_of(s), count = s->n * groups;
    unsigned bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= s->scale[i] >= NOT_FINITE;
    if (bad == 0)
        return false;
    int64_t i = 0;
    while (s->scale[i] < NOT_FINITE)
        i++;
    snprintf(out->what, sizeof out->what, "scale %lld is negative or not finite",
             (long long)(i % groups));
    return fault(out, ORTHO_SPLIT_SCALE, i / groups, i);
}

/* The row of entry i. */
static int64_t row_of(const ortho_split *s, int64_t i)
{
    int64_t low = 0, high = s->n - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->row_ptr[middle + 1] > i)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool find_in_val(const ortho_split *s, ortho_split_fault *out)
{
    unsigned bad = 0;
    for (int64_t i = 0; i < s->nnz; i++)
        bad |= (s->val[i] & NOT_FINITE) == NOT_FINITE;
    if (bad == 0)
        return false;
    int64_t i = 0;
    while ((s->val[i] & NOT_FINITE) != NOT_FINITE)
        i++;
    int64_t row = row_of(s, i);
    snprintf(out->what, sizeof out->what, "value %lld isn't finite",
             (long long)(i - s->row_ptr[row]));
    return fault(out, ORTHO_SPLIT_VAL, row, i);
}

/* ---- columns --------------------------------------------------------------------------------- */

static int64_t descents16(const uint16_t *col, int64_t count)
{
    int64_t descents = 0;
    for (int64_t begin = 1; begin < count; begin += 32768) { /* a sum of 16 bits is fast */
        int64_t end = begin + 32768 < count ? begin + 32768 : count;
        uint16_t some = 0;
        for (int64_t i = begin; i < end; i++)
            some = (uint16_t)(some + (col[i] <= col[i - 1]));
        descents += some;
    }
    return descents;
}

static int64_t descents32(const uint32_t *col, int64_t count)
{
    int64_t descents = 0;
    for (int64_t i = 1; i < count; i++)
        descents += col[i] <= col[i - 1];
    return descents;
}

/* Those at begins of rows, each once, whatever empty rows stand between. */
static int64_t descents_between_rows(const ortho_split *s)
{
    int64_t descents = 0;
    for (int64_t r = 0; r < s->n; r++) {
        int64_t begin = s->row_ptr[r];
        if (begin > 0 && begin < s->row_ptr[r + 1])
            descents += ortho_split_col(s, begin) <= ortho_split_col(s, begin - 1);
    }
    return descents;
}

static bool columns_are_sound(const ortho_split *s)
{
    int64_t descents = s->k > 65536 ? descents32(s->col, s->nnz) : descents16(s->col, s->nnz);
    bool sound = descents == descents_between_rows(s);
    for (int64_t r = 0; r < s->n && sound; r++)
        if (s->row_ptr[r] < s->row_ptr[r + 1])
            sound = ortho_split_col(s, s->row_ptr[r + 1] - 1) < s->k;
    return sound;
}

static bool find_in_col(const ortho_split *s, ortho_split_fault *out)
{
    if (columns_are_sound(s))
        return false;
    for (int64_t r = 0; r < s->n; r++) {
        int64_t before = -1;
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++) {
            int64_t col = ortho_split_col(s, i);
            if (col >= s->k)
                snprintf(out->what, sizeof out->what, "column %lld, but k = %lld", (long long)col,
                         (long long)s->k);
            else if (col <= before)
                snprintf(out->what, sizeof out->what, "column %lld after %lld", (long long)col,
                         (long long)before);
            if (col >= s->k || col <= before)
                return fault(out, ORTHO_SPLIT_COL, r, i);
            before = col;
        }
    }
    return false;
}

/* ---- q --------------------------------------------------------------------------------------- */

static bool find_in_q(const ortho_split *s, ortho_split_fault *out)
{
    int64_t bytes = (s->k + 1) / 2;
    for (int64_t r = 0; r < s->n && s->k % 2 != 0; r++)
        if (s->q[(r + 1) * bytes - 1] >> 4 != 0) {
            snprintf(out->what, sizeof out->what, "the padding nibble is not 0");
            return fault(out, ORTHO_SPLIT_Q, r, (r + 1) * bytes - 1);
        }
    return false;
}

bool ortho_split_find_fault(const ortho_split *s, ortho_split_fault *out)
{
    return find_in_q(s, out) || find_in_scale(s, out) || find_in_row_ptr(s, out) ||
           find_in_val(s, out) || find_in_col(s, out);
}

ortho_status ortho_split_check(const ortho_split *s)
{
    ortho_split_fault found;
    if (s->n < 1 || s->k < 1 || s->n > INT32_MAX - 1 || s->k > INT32_MAX || s->group < 1 ||
        s->nnz < 0 || s->nnz > INT32_MAX)
        return ortho_fail(ORTHO_E_FORMAT, "no split has %lld x %lld, group %lld, %lld entries",
                          (long long)s->n, (long long)s->k, (long long)s->group, (long long)s->nnz);
    if (!ortho_split_find_fault(s, &found))
        return ORTHO_OK;
    return found.row < 0
               ? ortho_fail(ORTHO_E_FORMAT, "%s", found.what)
               : ortho_fail(ORTHO_E_FORMAT, "row %lld: %s", (long long)found.row, found.what);
}
