#include "reports/page/html.h"

#include "common/error.h"
#include "reports/emit.h"
#include "reports/text.h"

#include <math.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void ortho_html_check(ortho_html *h, ortho_status status)
{
    if (h->status == ORTHO_OK)
        h->status = status;
}

void ortho_html_raw(ortho_html *h, const char *markup)
{
    fputs(markup, h->out);
}

void ortho_html_put(ortho_html *h, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(h->out, format, arguments);
    va_end(arguments);
}

void ortho_html_text(ortho_html *h, const char *utf8)
{
    char *clean = utf8 != NULL ? ortho_text_clean(utf8) : NULL;
    if (utf8 != NULL && clean == NULL)
        ortho_html_check(h, ortho_fail(ORTHO_E_MEMORY, "no memory for a page"));
    for (const char *c = clean; c != NULL && *c != '\0'; c++)
        if (*c == '<' || *c == '>' || *c == '&' || *c == '"' || *c == '\'')
            fprintf(h->out, "&#%d;", *c);
        else
            fputc(*c, h->out);
    free(clean);
}

/* ---- documents and pictures ----------------------------------------------------------------- */

/* U+2028 and U+2029 end a line of JavaScript. */
static bool is_separator(const char *c)
{
    return memcmp(c, "\xe2\x80", 2) == 0 && (c[2] == '\xa8' || c[2] == '\xa9');
}

void ortho_html_script_json(ortho_html *h, const json_t *document)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL) {
        ortho_html_check(h, ortho_fail(ORTHO_E_MEMORY, "no memory for a page"));
        return;
    }
    ortho_html_check(h, ortho_json_emit(document, 0, stream));
    fputc('\n', stream);
    if (fclose(stream) != 0)
        ortho_html_check(h, ortho_fail(ORTHO_E_MEMORY, "no memory for a page"));
    for (const char *c = text; h->status == ORTHO_OK && *c != '\0'; c++)
        if (*c == '<' || *c == '>' || *c == '&') {
            fprintf(h->out, "\\u%04x", *c);
        } else if (*c == '\xe2' && is_separator(c)) {
            fputs(c[2] == '\xa8' ? "\\u2028" : "\\u2029", h->out);
            c += 2;
        } else {
            fputc(*c, h->out);
        }
    free(text);
}

/* Writes base 64 in pieces of a multiple of three bytes, so that no padding stands inside. */
static void put_base64(ortho_html *h, const unsigned char *bytes, size_t size)
{
    enum { PIECE = 48 };
    unsigned char line[2 * PIECE];
    for (size_t at = 0; at < size; at += PIECE) {
        size_t left = size - at < PIECE ? size - at : PIECE;
        EVP_EncodeBlock(line, bytes + at, (int)left);
        fputs((const char *)line, h->out);
    }
}

#define SVG_MAX (8 << 20) /* a larger picture is no help in a page */

bool ortho_html_svg_base64(ortho_html *h, const char *path, const char *before)
{
    FILE *in = fopen(path, "rb");
    char *text = in != NULL ? calloc(1, SVG_MAX + 1) : NULL;
    size_t size = text != NULL ? fread(text, 1, SVG_MAX + 1, in) : 0;
    bool whole = size > 0 && size <= SVG_MAX && !ferror(in) && memchr(text, '\0', size) == NULL;
    bool svg = whole && strstr(text, "<svg") != NULL && strstr(text, "</svg>") != NULL;
    if (svg) {
        ortho_html_raw(h, before);
        put_base64(h, (const unsigned char *)text, size);
    }
    free(text);
    if (in != NULL)
        fclose(in);
    return svg;
}

void ortho_html_hash(const char *text, char out[ORTHO_HTML_HASH])
{
    unsigned char digest[SHA256_DIGEST_LENGTH], base64[2 * SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock(base64, digest, sizeof digest);
    snprintf(out, ORTHO_HTML_HASH, "'sha256-%.50s'", (const char *)base64);
}

/* ---- tables --------------------------------------------------------------------------------- */

void ortho_html_table_begin(ortho_html *h, const ortho_html_table *table)
{
    ortho_html_put(h,
                   "<div class=\"scroll\" role=\"region\" aria-labelledby=\"%s\" tabindex=\"0\">"
                   "<table class=\"%s\"><caption id=\"%s\">",
                   table->id, table->classes, table->id);
    ortho_html_text(h, table->caption);
    ortho_html_raw(h, "</caption>\n<thead><tr>");
    for (size_t c = 0; c < table->count; c++) {
        const ortho_html_column *column = &table->columns[c];
        ortho_html_put(h, "<th scope=\"col\"%s", column->number ? " class=\"number\"" : "");
        if (column->hint != NULL) {
            ortho_html_raw(h, " title=\"");
            ortho_html_text(h, column->hint);
            ortho_html_raw(h, "\"");
        }
        ortho_html_raw(h, ">");
        ortho_html_text(h, column->title);
        if (column->unit != NULL) {
            ortho_html_raw(h, " <span class=\"unit\">");
            ortho_html_text(h, column->unit);
            ortho_html_raw(h, "</span>");
        }
        ortho_html_raw(h, "</th>");
    }
    ortho_html_raw(h, "</tr></thead>\n<tbody>\n");
}

void ortho_html_table_end(ortho_html *h)
{
    ortho_html_raw(h, "</tbody></table></div>\n");
}

void ortho_html_number(ortho_html *h, double value, const char *shown)
{
    char digits[32];
    if (isnan(value) || shown[0] == '\0') {
        ortho_html_raw(h, "<td class=\"number\">–</td>");
        return;
    }
    ortho_html_put(h, "<td class=\"number\" data-v=\"%s\">", ortho_text_number(value, digits));
    ortho_html_text(h, shown);
    ortho_html_raw(h, "</td>");
}

void ortho_html_cell(ortho_html *h, const char *text)
{
    ortho_html_raw(h, "<td>");
    ortho_html_text(h, text != NULL && *text != '\0' ? text : "–");
    ortho_html_raw(h, "</td>");
}

void ortho_html_row_header(ortho_html *h, const char *text)
{
    ortho_html_raw(h, "<th scope=\"row\">");
    ortho_html_text(h, text != NULL && *text != '\0' ? text : "?");
    ortho_html_raw(h, "</th>");
}

void ortho_html_pairs_begin(ortho_html *h, const char *id, const char *caption)
{
    static const ortho_html_column columns[] = {{.title = "what"}, {.title = "value"}};
    ortho_html_table_begin(
        h, &(ortho_html_table){
               .id = id, .caption = caption, .classes = "pairs", .columns = columns, .count = 2});
}

void ortho_html_pair(ortho_html *h, const char *name, const char *value)
{
    ortho_html_raw(h, "<tr>");
    ortho_html_row_header(h, name);
    ortho_html_cell(h, value);
    ortho_html_raw(h, "</tr>\n");
}

void ortho_html_interval(double lo, double hi, char *out, size_t size)
{
    char low[32], high[32];
    ortho_text_three(lo, low, sizeof low);
    ortho_text_three(hi, high, sizeof high);
    out[0] = '\0';
    if (!isnan(lo) && !isnan(hi))
        snprintf(out, size, "[%s, %s]", low, high);
}

void ortho_html_line(void *ctx, const char *text, ortho_tone tone)
{
    static const char *const classes[] = {[ORTHO_TONE_PLAIN] = "line",
                                          [ORTHO_TONE_QUIET] = "quiet",
                                          [ORTHO_TONE_GOOD] = "line good",
                                          [ORTHO_TONE_DOUBT] = "banner doubt",
                                          [ORTHO_TONE_BAD] = "banner bad"};
    ortho_html *h = ctx;
    ortho_html_put(h, "<p class=\"%s\">", classes[tone]);
    ortho_html_text(h, text);
    ortho_html_raw(h, "</p>\n");
}
