/* What a comparison comes to. */
#include "reports/compare/summary.h"

#include "reports/compare/measures.h"
#include "reports/json_set.h"
#include "reports/model.h"

#include <string.h>

bool ortho_comparison_competes(const json_t *one)
{
    const char *role = ortho_model_string(one, "role");
    return role == NULL || strcmp(role, "competitor") == 0;
}

static const char *const summary_names[] = {
    [ORTHO_COMPARISON_SAME] = "SAME",           [ORTHO_COMPARISON_FASTER] = "FASTER",
    [ORTHO_COMPARISON_AMBIGUOUS] = "AMBIGUOUS", [ORTHO_COMPARISON_SLOWER] = "SLOWER",
    [ORTHO_COMPARISON_WRONG] = "WRONG",         [ORTHO_COMPARISON_NOTHING] = "NOTHING",
};
enum { SUMMARIES = sizeof summary_names / sizeof *summary_names };

static ortho_comparison_verdict overall(const json_t *summary)
{
    static const struct {
        const char *count;
        ortho_comparison_verdict verdict;
    } order[] = {{"wrong", ORTHO_COMPARISON_WRONG},   {"slower", ORTHO_COMPARISON_SLOWER},
                 {"larger", ORTHO_COMPARISON_SLOWER}, {"ambiguous", ORTHO_COMPARISON_AMBIGUOUS},
                 {"faster", ORTHO_COMPARISON_FASTER}, {"same", ORTHO_COMPARISON_SAME}};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (ortho_model_number(summary, order[i].count) > 0)
            return order[i].verdict;
    return ORTHO_COMPARISON_NOTHING;
}

static void count(json_t *summary, const char *name)
{
    json_int_t now = json_integer_value(json_object_get(summary, name));
    ortho_json_int(summary, name, now + 1);
}

static void count_case(json_t *summary, const json_t *one)
{
    static const char *const words[][2] = {{"FASTER", "faster"},       {"SLOWER", "slower"},
                                           {"SAME", "same"},           {"WRONG", "wrong"},
                                           {"AMBIGUOUS", "ambiguous"}, {"UNTIMED", "untimed"}};
    const char *verdict = ortho_model_string(one, "verdict");
    for (size_t i = 0; verdict != NULL && i < sizeof words / sizeof *words; i++)
        if (strcmp(verdict, words[i][0]) == 0)
            count(summary, words[i][1]);
    if (ortho_compare_worse(one))
        count(summary, "larger");
    if (json_object_get(one, "flags") != NULL)
        count(summary, "flagged");
}

void ortho_comparison_summarise(json_t *out)
{
    static const char *const zero[] = {"faster",  "slower", "same",    "ambiguous", "wrong",
                                       "untimed", "larger", "flagged", "references"};
    static const char *const lists[] = {"refused", "only_a", "only_b"};
    size_t i;
    const json_t *one;
    json_t *summary = json_object();
    for (i = 0; i < sizeof zero / sizeof *zero; i++)
        ortho_json_int(summary, zero[i], 0);
    json_array_foreach(json_object_get(out, "cases"), i, one)
    {
        if (ortho_comparison_competes(one))
            count_case(summary, one);
        else
            count(summary, "references");
    }
    for (i = 0; i < sizeof lists / sizeof *lists; i++)
        ortho_json_int(summary, lists[i], (int64_t)json_array_size(json_object_get(out, lists[i])));
    ortho_json_text(summary, "verdict", summary_names[overall(summary)]);
    json_object_set_new(out, "summary", summary);
}

ortho_comparison_verdict ortho_comparison_read(const json_t *document)
{
    const char *verdict = ortho_model_string(document, "summary.verdict");
    for (int i = 0; verdict != NULL && i < SUMMARIES; i++)
        if (strcmp(verdict, summary_names[i]) == 0)
            return (ortho_comparison_verdict)i;
    return ORTHO_COMPARISON_NOTHING;
}

const ortho_writer *ortho_comparison_writer_find(const char *name)
{
    for (const ortho_writer *const *w = ortho_comparison_writers; *w != NULL; w++)
        if (strcmp((*w)->name, name) == 0 ||
            ((*w)->extension != NULL && strcmp((*w)->extension, name) == 0))
            return *w;
    return NULL;
}

bool ortho_is_comparison(const json_t *document)
{
    const char *schema = ortho_model_string(document, "schema");
    return schema != NULL && strcmp(schema, ORTHO_COMPARE_SCHEMA) == 0;
}
