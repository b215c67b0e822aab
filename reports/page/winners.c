/* The fastest verified variant of each setting, with its speed-up over the baseline. */
#include "common/error.h"
#include "reports/page/parts.h"
#include "reports/text.h"
#include "reports/verdict.h"

#include <math.h>
#include <stdlib.h>

#define OPEN_UP_TO 16 /* rows; a longer table is folded */

static void put_heading(ortho_html *h, const ortho_group *group)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL) {
        ortho_html_check(h, ortho_fail(ORTHO_E_MEMORY, "no memory for a page"));
        return;
    }
    ortho_model_heading(group, stream);
    if (fclose(stream) == 0)
        ortho_html_row_header(h, text);
    else
        ortho_html_check(h, ortho_fail(ORTHO_E_MEMORY, "no memory for a page"));
    free(text);
}

static void put_winner(ortho_html *h, const ortho_group *group, const json_t *row)
{
    char text[40], interval[80], name[ORTHO_LABEL_BYTES];
    double ratio = ortho_model_number(row, "speedup.ratio"), us = ortho_model_time(row) / 1000;
    double lo = ortho_model_number(row, "speedup.lo");
    ortho_html_raw(h, "<tr>");
    put_heading(h, group);
    ortho_model_label(row, name);
    ortho_html_cell(h, name);
    ortho_text_three(us, text, sizeof text);
    ortho_html_number(h, us, text);
    ortho_text_three(ratio, text, sizeof text);
    ortho_html_number(h, ratio, text);
    ortho_html_interval(lo, ortho_model_number(row, "speedup.hi"), interval, sizeof interval);
    ortho_html_number(h, lo, interval);
    ortho_html_cell(h, ortho_model_string(row, "speedup.over"));
    ortho_html_raw(h, "</tr>\n");
}

static void put_table(ortho_html *h, const ortho_groups *groups, size_t file)
{
    static const ortho_html_column columns[] = {
        {.title = "setting"},
        {.title = "fastest"},
        {.title = "time", .unit = "µs", .number = true},
        {.title = "speed-up", .unit = "×", .number = true},
        {.title = "95 % interval", .unit = "×", .number = true},
        {.title = "over"}};
    char id[40];
    snprintf(id, sizeof id, "f%zu-fastest", file);
    ortho_html_table_begin(
        h, &(ortho_html_table){.id = id,
                               .caption = "The fastest verified variant of each setting; "
                                          "ambiguous cases don't compete",
                               .classes = "sort settings",
                               .columns = columns,
                               .count = sizeof columns / sizeof *columns});
    for (size_t g = 0; g < groups->count; g++) {
        const json_t *row = ortho_group_fastest(&groups->group[g]);
        if (row != NULL)
            put_winner(h, &groups->group[g], row);
    }
    ortho_html_table_end(h);
}

void ortho_page_winners(ortho_html *h, const json_t *results, size_t file)
{
    ortho_groups groups = {0};
    size_t winners = 0;
    ortho_html_check(h, ortho_model_groups(results, &groups));
    for (size_t g = 0; g < groups.count; g++)
        winners += ortho_group_fastest(&groups.group[g]) != NULL;
    bool folded = winners > OPEN_UP_TO;
    if (folded)
        ortho_html_put(h, "<details><summary>The fastest of each of %zu settings</summary>\n",
                       winners);
    if (winners > 0)
        put_table(h, &groups, file);
    ortho_html_raw(h, folded ? "</details>\n" : "");
    ortho_groups_free(&groups);
}
