#define _GNU_SOURCE
#include "harness/commands/history_print.h"

#include "common/error.h"
#include "harness/grid.h"
#include "harness/log.h"
#include "reports/model.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

/* "2026-11-26 03:21" of a date as documents have it. */
static void put_date(const json_t *from, char out[24])
{
    const char *date = ortho_model_string(from, "date");
    snprintf(out, 24, "%.16s", date != NULL ? date : "");
    if (strlen(out) == 16)
        out[10] = ' ';
}

static void put_count(const json_t *from, const char *key, char out[24])
{
    double count = ortho_model_number(from, key);
    out[0] = '\0';
    if (!isnan(count))
        snprintf(out, 24, "%.0f", count);
}

/* Appends a word after a separator. */
static void add_word(char *out, size_t size, const char *separator, const char *word)
{
    size_t used = strlen(out);
    if (word != NULL && word[0] != '\0' && used + 1 < size)
        snprintf(out + used, size - used, "%s%s", used > 0 ? separator : "", word);
    ortho_text_trim(out);
}

/* ---- runs ------------------------------------------------------------------------------------ */

ortho_status ob_history_print_runs(const json_t *runs, FILE *out)
{
    static const ob_grid_column columns[] = {{"date (UTC)", false, 0},
                                             {"commit", false, 24},
                                             {"device", false, 40},
                                             {"model", false, 32},
                                             {"cases", true, 0},
                                             {"failed", true, 0},
                                             {"", false, 0}};
    ob_grid grid = {.column = columns, .columns = sizeof columns / sizeof *columns};
    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        char date[24], cases[24], failed[24], words[64] = "";
        put_date(run, date);
        put_count(run, "cases", cases);
        put_count(run, "failed", failed);
        add_word(words, sizeof words, ", ", ortho_model_true(run, "synthetic") ? "SYNTHETIC" : "");
        add_word(words, sizeof words, ", ",
                 ortho_model_true(run, "interrupted") ? "INTERRUPTED" : "");
        const char *cells[] = {date,
                               ortho_model_string(run, "commit"),
                               ortho_model_string(run, "device"),
                               ortho_model_string(run, "model"),
                               cases,
                               failed,
                               words};
        ob_grid_add(&grid, cells);
    }
    ortho_status status = ob_grid_print(&grid, out);
    ob_grid_clear(&grid);
    return status;
}

/* ---- trends ---------------------------------------------------------------------------------- */

/* "(...)" where the intervals overlap: nothing was shown to have changed. */
static void put_change(const json_t *point, char out[32])
{
    double change = ortho_model_number(point, "change") * 100;
    bool apart = json_is_false(ortho_model_at(point, "overlaps"));
    char digits[16];
    out[0] = '\0';
    if (isnan(change))
        return;
    snprintf(digits, sizeof digits, fabs(change) < 9.95 ? "%.2f" : "%.1f", fabs(change));
    snprintf(out, 32, "%s%s%s %%%s", apart ? "" : "(", change < 0 ? "−" : "+", digits,
             apart ? "" : ")");
}

static void put_half(const json_t *point, char out[32])
{
    double half = ortho_model_number(point, "half_width") * 100;
    char digits[16];
    out[0] = '\0';
    if (isnan(half))
        return;
    ortho_text_three(half, digits, sizeof digits);
    snprintf(out, 32, "± %s %%", digits);
}

static void put_status(const json_t *point, char *out, size_t size)
{
    const char *status = ortho_model_string(point, "status");
    snprintf(out, size, "%s", status != NULL ? status : "");
    add_word(out, size, ": ", ortho_model_string(point, "reason"));
    if (ortho_model_true(point, "interrupted"))
        add_word(out, size, ", ", "run INTERRUPTED");
}

/* What may have moved a time beside the code. */
static void put_environment(const json_t *point, char *out, size_t size)
{
    const char *driver = ortho_model_string(point, "driver");
    char word[128];
    out[0] = '\0';
    if (driver != NULL) {
        snprintf(word, sizeof word, "driver %s", driver);
        add_word(out, size, " · ", word);
    }
    add_word(out, size, " · ", ortho_model_string(point, "host"));
    add_word(out, size, " · ", ortho_model_string(point, "os"));
}

static void add_point(ob_grid *grid, const json_t *point)
{
    char date[24], time[32], half[32], change[32], processes[24], status[128], environment[256];
    double median = ortho_model_number(point, "median_ns");
    put_date(point, date);
    ortho_text_time(median, time, sizeof time);
    put_half(point, half);
    put_change(point, change);
    put_count(point, "processes", processes);
    put_status(point, status, sizeof status);
    put_environment(point, environment, sizeof environment);
    const char *cells[] = {date,
                           ortho_model_string(point, "commit"),
                           isnan(median) ? "–" : time,
                           half,
                           change,
                           processes,
                           status,
                           environment};
    ob_grid_add(grid, cells);
}

static ortho_status print_points(const json_t *points, FILE *out)
{
    static const ob_grid_column columns[] = {{"date (UTC)", false, 0}, {"commit", false, 24},
                                             {"median", true, 0},      {"", false, 0},
                                             {"change", true, 0},      {"processes", true, 0},
                                             {"status", false, 48},    {"environment", false, 60}};
    ob_grid grid = {.column = columns, .columns = sizeof columns / sizeof *columns};
    for (size_t i = 0; i < json_array_size(points); i++)
        add_point(&grid, json_array_get(points, i));
    ortho_status status = ob_grid_print(&grid, out);
    ob_grid_clear(&grid);
    return status;
}

/* From the fastest to the slowest; a point without a time is a blank. Nothing of fewer than two. */
static void print_spark(const json_t *points, FILE *out)
{
    static const char *const steps[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double least = INFINITY, most = -INFINITY;
    size_t i, timed = 0;
    const json_t *point;
    char low[32], high[32];
    json_array_foreach(points, i, point)
    {
        double median = ortho_model_number(point, "median_ns");
        timed += !isnan(median);
        least = fmin(least, median); /* of a number and NAN the number */
        most = fmax(most, median);
    }
    if (timed < 2)
        return;
    json_array_foreach(points, i, point)
    {
        double median = ortho_model_number(point, "median_ns");
        double share = most > least ? (median - least) / (most - least) : 0.5;
        fputs(isnan(median) ? " " : steps[(int)(share * 7.999)], out);
    }
    ortho_text_time(least, low, sizeof low);
    ortho_text_time(most, high, sizeof high);
    fprintf(out, "  %s to %s, %.1f %% apart\n", low, high, (most / least - 1) * 100);
}

/* "on DEVICE · MODEL · threads 1 · SYNTHETIC" */
static void print_heading(const json_t *trend, FILE *out)
{
    char line[512] = "";
    const char *device = ortho_model_string(trend, "device");
    const char *hash = ortho_model_string(trend, "model_hash");
    char short_hash[24] = "";
    add_word(line, sizeof line, "", device != NULL ? device : "a device that isn't told");
    add_word(line, sizeof line, " · ", ortho_model_string(trend, "model"));
    if (hash != NULL)
        snprintf(short_hash, sizeof short_hash, "hash %.8s", hash);
    add_word(line, sizeof line, " · ", short_hash);
    add_word(line, sizeof line, " · ", ortho_model_string(trend, "setting"));
    add_word(line, sizeof line, " · ", ortho_model_true(trend, "synthetic") ? "SYNTHETIC" : "");
    const char *key = ortho_model_string(trend, "key");
    ob_print_safe(out, key != NULL ? key : "");
    fputs("\non ", out);
    char *clean = ortho_text_clean(line);
    fputs(clean != NULL ? clean : "", out);
    free(clean);
    fputc('\n', out);
}

/* What the table's figures can't say. */
static void print_legend(const json_t *trends, FILE *out)
{
    size_t t, i;
    const json_t *trend, *point;
    bool overlap = false, alone = false;
    json_array_foreach(trends, t, trend)
    {
        json_array_foreach(json_object_get(trend, "points"), i, point)
        {
            bool changed = !isnan(ortho_model_number(point, "change"));
            bool apart = json_is_false(ortho_model_at(point, "overlaps"));
            overlap = overlap || (changed && !apart);
            alone = alone || (changed && apart && ortho_model_number(point, "processes") < 2);
        }
    }
    if (overlap || alone)
        fputc('\n', out);
    if (overlap)
        fputs("(change): the 95 % intervals overlap, or one is missing: no change was shown.\n",
              out);
    if (alone)
        fputs("The interval of one process doesn't tell how processes differ: a small change may "
              "be that alone.\n",
              out);
}

ortho_status ob_history_print_trends(const json_t *trends, FILE *out)
{
    ortho_status status = ORTHO_OK;
    size_t i;
    const json_t *trend;
    json_array_foreach(trends, i, trend)
    {
        const json_t *points = json_object_get(trend, "points");
        if (i > 0)
            fputc('\n', out);
        print_heading(trend, out);
        status = print_points(points, out);
        if (status != ORTHO_OK)
            return status;
        print_spark(points, out);
    }
    print_legend(trends, out);
    return status;
}
