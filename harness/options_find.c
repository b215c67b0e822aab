/* Finding options in the table, and the words that they take. */
#include "harness/counter_groups.h"
#include "harness/options_table.h"
#include "reports/compare/compare.h"
#include "reports/reports.h"
#include "variants/table.h"

#include <ctype.h>
#include <string.h>

const ob_option *ob_option_find(const char *name)
{
    for (size_t i = 0; i < ob_option_count; i++)
        if (strcmp(ob_option_table[i].name, name) == 0)
            return &ob_option_table[i];
    return NULL;
}

static size_t add_word(const char **words, size_t n, size_t max, const char *word)
{
    if (n < max && (n == 0 || strcmp(words[n - 1], word) != 0))
        words[n++] = word;
    return n;
}

/* Names, then the extensions that are no name: "md". Of two words joined by a dot nobody thinks. */
static size_t add_writers(const ortho_writer *const *writers, const char **words, size_t n,
                          size_t max)
{
    for (const ortho_writer *const *w = writers; *w != NULL; w++)
        n = add_word(words, n, max, (*w)->name);
    for (const ortho_writer *const *w = writers; *w != NULL; w++) {
        const char *extension = (*w)->extension;
        bool is_name = extension == NULL || strchr(extension, '.') != NULL;
        for (const ortho_writer *const *v = writers; *v != NULL && !is_name; v++)
            is_name = strcmp((*v)->name, extension) == 0;
        if (!is_name)
            n = add_word(words, n, max, extension);
    }
    return n;
}

size_t ob_option_words(const ob_option *option, const char **words, size_t max)
{
    size_t n = 0;
    if (option->from == OB_WORDS_VARIANTS) {
        /* CPU and CUDA descriptors of one name are neighbours */
        for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
            n = add_word(words, n, max, (*v)->name);
        return add_word(words, n, max, "all");
    }
    if (option->from == OB_WORDS_COUNTERS) {
        for (const ob_group_text *g = ob_group_texts; g->name != NULL; g++)
            n = add_word(words, n, max, g->name);
        return add_word(words, n, max, "all");
    }
    if (option->from == OB_WORDS_COMPARISON_WRITERS)
        n = add_writers(ortho_comparison_writers, words, n, max);
    if (option->from == OB_WORDS_WRITERS)
        n = add_writers(ortho_writers, words, n, max);
    for (const ob_word *w = option->words; w != NULL && w->word != NULL; w++)
        n = add_word(words, n, max, w->word);
    return n;
}

void ob_option_variable(const ob_option *option, char name[64])
{
    size_t n = strlen("ORTHO_BENCH_");
    memcpy(name, "ORTHO_BENCH_", n);
    for (const char *p = option->name; *p != '\0' && n < 63; p++)
        name[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    name[n] = '\0';
}
