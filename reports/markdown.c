#include "reports/markdown.h"

#include "common/error.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

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
