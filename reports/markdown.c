#include "reports/markdown.h"

#include "common/error.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

#define LINE_COLUMNS 600 /* of a line of words: a longer one is cut */

ortho_status ortho_markdown_text(const char *text, FILE *out)
{
    char *clean = ortho_text_clean(text);
    if (clean == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    for (const char *c = clean; *c != '\0'; c++) {
        if (*c == '<' || *c == '>' || *c == '&' || *c == '@')
            fprintf(out, "&#%d;", *c);
        else if (strchr("\\`*_[]#|~$", *c) != NULL)
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
    }
    free(clean);
    return ORTHO_OK;
}

ortho_status ortho_markdown_cut(const char *text, int columns, FILE *out)
{
    size_t most = 4 * (size_t)columns;
    char *cut = ortho_text_cut(text, columns);
    if (cut == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    if (strlen(cut) > most) { /* of characters without width */
        cut[most] = '\0';
        ortho_text_trim(cut);
    }
    ortho_status status = ortho_markdown_text(cut, out);
    free(cut);
    return status;
}

void ortho_markdown_line(void *ctx, const char *text, ortho_tone tone)
{
    FILE *out = ctx;
    bool loud = tone == ORTHO_TONE_DOUBT || tone == ORTHO_TONE_BAD;
    fputs(loud ? "- **" : "- ", out);
    (void)ortho_markdown_cut(text, LINE_COLUMNS, out);
    fputs(loud ? "**\n" : "\n", out);
}

void ortho_markdown_verdict(void *ctx, const char *text, ortho_tone tone)
{
    ortho_markdown_sink *s = ctx;
    if (s->told) {
        ortho_markdown_line(s->out, text, tone);
        return;
    }
    s->told = true;
    fputs("## ortho-bench: ", s->out);
    ortho_markdown_text(text, s->out);
    fputs("\n\n", s->out);
}
