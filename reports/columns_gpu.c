#include "reports/columns_gpu.h"

#include "reports/measured.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ortho_cell_throttled(const json_t *row, ortho_cell *out)
{
    size_t throttled = ortho_model_throttled(row);
    size_t samples = json_array_size(ortho_model_at(row, "time_ns.samples"));
    if (throttled == 0)
        return;
    snprintf(out->text, sizeof out->text, "%zu of %zu", throttled, samples);
    out->tone = ORTHO_TONE_DOUBT;
}

/* "40 r, 8.20 KiB", and in red what is spilled. */
void ortho_cell_registers(const json_t *row, ortho_cell *out)
{
    ortho_kernel_view kernel;
    char shared[24], spilled[24];
    if (!ortho_model_kernel(row, &kernel))
        return;
    bool shares = kernel.shared_bytes > 0, spills = kernel.spilled_bytes > 0;
    ortho_text_bytes(kernel.shared_bytes, shared, sizeof shared);
    ortho_text_bytes(kernel.spilled_bytes, spilled, sizeof spilled);
    snprintf(out->text, sizeof out->text, "%.0f r%s%s%s%s%s", kernel.registers, shares ? ", " : "",
             shares ? shared : "", spills ? ", " : "", spills ? spilled : "",
             spills ? " spilled" : "");
    out->tone = spills ? ORTHO_TONE_BAD : ORTHO_TONE_PLAIN;
}

void ortho_cell_clock(const json_t *row, ortho_cell *out)
{
    double mhz = ortho_model_number(row, "clocks.sm_mhz.median");
    if (mhz > 0)
        snprintf(out->text, sizeof out->text, "%.0f MHz", mhz);
}

void ortho_cell_device(const json_t *row, ortho_cell *out)
{
    ortho_text_bytes(ortho_model_number(row, "peak_bytes.device"), out->text, sizeof out->text);
}

/* ---- lanes ---------------------------------------------------------------------------------- */

bool ortho_lanes_measured(const ortho_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (!isnan(ortho_measured_lanes(group->rows[i])))
            return true;
    return false;
}

bool ortho_lanes_unmeasured(const ortho_group *group)
{
    return !ortho_lanes_measured(group);
}

void ortho_cell_predicted(const json_t *row, ortho_cell *out)
{
    ortho_cell_percent(ortho_model_lanes(row), out);
}

#define WHY_COLUMNS 18 /* that the reason may take in a cell; the note below the table has all */

/* "n/a (no permission)": the reason up to its first break, cut to a few columns. */
static void put_why(const char *reason, ortho_cell *out)
{
    char *clean = ortho_text_clean(reason);
    size_t used = strlen(out->text);
    if (clean == NULL)
        return;
    clean[strcspn(clean, ":;,(")] = '\0';
    bool cut = ortho_text_width(clean) > WHY_COLUMNS;
    if (cut)
        clean[ortho_text_fit(clean, WHY_COLUMNS - 1)] = '\0';
    for (size_t end = strlen(clean); end > 0 && clean[end - 1] == ' ';)
        clean[--end] = '\0';
    bool bare = *clean == '\0' && !cut;
    snprintf(out->text + used, sizeof out->text - used, "n/a%s%s%s%s", bare ? "" : " (", clean,
             cut ? "…" : "", bare ? "" : ")");
    ortho_text_trim(out->text);
    free(clean);
}

/* "62.1 / 61.8 %"; a part that is absent is a dash, one that couldn't be had says why. */
void ortho_cell_lanes(const json_t *row, ortho_cell *out)
{
    double predicted = ortho_model_lanes(row), measured = ortho_measured_lanes(row);
    const char *reason = ortho_measured_reason(row);
    char text[2][24];
    if (isnan(predicted) && isnan(measured) && reason == NULL)
        return;
    ortho_text_three(100 * predicted, text[0], sizeof text[0]);
    ortho_text_three(100 * measured, text[1], sizeof text[1]);
    if (!isnan(measured)) {
        snprintf(out->text, sizeof out->text, "%s / %s %%", isnan(predicted) ? "–" : text[0],
                 text[1]);
        bool refuted = fabs(ortho_measured_difference(row)) > ORTHO_LANES_TOLERANCE;
        out->tone = refuted ? ORTHO_TONE_BAD : ORTHO_TONE_PLAIN;
        return;
    }
    snprintf(out->text, sizeof out->text, "%s%s / ", isnan(predicted) ? "–" : text[0],
             isnan(predicted) ? "" : " %");
    if (reason != NULL)
        put_why(reason, out);
    else
        strcat(out->text, "–");
}
