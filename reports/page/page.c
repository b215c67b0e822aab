#include "reports/page/page.h"

#include "common/error.h"
#include "reports/compare/view.h"
#include "reports/page/parts.h"
#include "reports/text.h"
#include "reports/verdict.h"

#include <string.h>

static const char *text_of(const char *name)
{
    for (const ortho_page_text *t = ortho_page_texts; t->name != NULL; t++)
        if (strcmp(t->name, name) == 0)
            return t->text;
    return "";
}

/* ---- head
 * ---------------------------------------------------------------------------------------- */

/* Nothing is loaded, nothing but this page's own script runs, and pictures are in the page. */
static void put_policy(ortho_html *h)
{
    char script[ORTHO_HTML_HASH], style[ORTHO_HTML_HASH];
    ortho_html_hash(text_of("page.js"), script);
    ortho_html_hash(text_of("page.css"), style);
    ortho_html_put(h,
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                   "script-src %s; style-src %s; img-src data:; base-uri 'none'; form-action "
                   "'none'\">\n",
                   script, style);
}

static void put_title(ortho_html *h, const ortho_page *page)
{
    ortho_html_raw(h, page->comparison != NULL ? "ortho-bench comparison" : "ortho-bench report");
    if (page->count == 1) {
        ortho_html_raw(h, ": ");
        ortho_html_text(h, page->names[0]);
    } else if (page->count > 1) {
        ortho_html_put(h, ": %zu files", page->count);
    }
}

static void put_head(ortho_html *h, const ortho_page *page)
{
    ortho_html_raw(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    put_policy(h);
    ortho_html_raw(h, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                      "<meta name=\"color-scheme\" content=\"light dark\">\n"
                      "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    put_title(h, page);
    ortho_html_raw(h, "</title>\n<style>");
    ortho_html_raw(h, text_of("page.css"));
    ortho_html_raw(h, "</style>\n</head>\n<body>\n"
                      "<a class=\"skip\" href=\"#main\">Skip to the results</a>\n<header><h1>");
    put_title(h, page);
    ortho_html_raw(h, "</h1></header>\n");
}

static void put_contents(ortho_html *h, const ortho_page *page)
{
    ortho_html_raw(
        h, "<nav aria-label=\"Contents\"><ul>\n<li><a href=\"#verdict\">Verdict</a></li>\n");
    if (page->comparison != NULL)
        ortho_html_raw(h, "<li><a href=\"#compare\">Comparison</a></li>\n");
    for (size_t i = 0; i < page->count; i++) {
        ortho_html_put(h, "<li><a href=\"#f%zu\">", i);
        ortho_html_text(h, page->count == 1 ? "Results" : page->names[i]);
        ortho_html_raw(h, "</a></li>\n");
    }
    ortho_html_raw(h, "<li><a href=\"#method\">Method</a></li>\n"
                      "<li><a href=\"#raw\">Raw data</a></li>\n</ul></nav>\n");
}

/* ---- body
 * ---------------------------------------------------------------------------------------- */

/* The first line is the verdict: larger than what follows. */
typedef struct verdict_sink {
    ortho_html *h;
    bool told;
} verdict_sink;

static void put_verdict_line(void *ctx, const char *text, ortho_tone tone)
{
    static const char *const classes[] = {[ORTHO_TONE_PLAIN] = "plain",
                                          [ORTHO_TONE_QUIET] = "plain",
                                          [ORTHO_TONE_GOOD] = "good",
                                          [ORTHO_TONE_DOUBT] = "doubt",
                                          [ORTHO_TONE_BAD] = "bad"};
    verdict_sink *s = ctx;
    if (s->told) {
        ortho_html_line(s->h, text, tone);
        return;
    }
    s->told = true;
    ortho_html_put(s->h, "<p class=\"verdict %s\">", classes[tone]);
    ortho_html_text(s->h, text);
    ortho_html_raw(s->h, "</p>\n");
}

static void put_document_verdict(ortho_html *h, const ortho_page *page, size_t file)
{
    verdict_sink sink = {.h = h};
    const json_t *results = (const json_t *)page->results[file];
    if (page->count > 1 && page->comparison == NULL) {
        ortho_html_put(h, "<h3><a href=\"#f%zu\">", file);
        ortho_html_text(h, page->names[file]);
        ortho_html_raw(h, "</a></h3>\n");
    }
    ortho_html_check(h, ortho_verdict_lines(
                            results, &(ortho_line_sink){.ctx = &sink, .line = put_verdict_line}));
    ortho_html_check(
        h, ortho_context_lines(results, &(ortho_line_sink){.ctx = h, .line = ortho_html_line}));
}

static void put_verdict(ortho_html *h, const ortho_page *page)
{
    verdict_sink sink = {.h = h};
    ortho_html_raw(h, "<section aria-labelledby=\"verdict\"><h2 id=\"verdict\">Verdict</h2>\n");
    if (page->comparison != NULL)
        ortho_html_check(
            h, ortho_comparison_told(page->comparison,
                                     &(ortho_line_sink){.ctx = &sink, .line = put_verdict_line}));
    for (size_t i = 0; i < page->count && page->comparison == NULL; i++)
        put_document_verdict(h, page, i);
    ortho_html_raw(h, "</section>\n");
}

static void put_results(ortho_html *h, const ortho_page *page, size_t file)
{
    const json_t *results = (const json_t *)page->results[file];
    ortho_html_put(h, "<section aria-labelledby=\"f%zu\"><h2 id=\"f%zu\">Results: ", file, file);
    ortho_html_text(h, page->names[file]);
    ortho_html_raw(h, "</h2>\n");
    if (page->comparison != NULL) /* whose verdict stands at the top */
        put_document_verdict(h, page, file);
    ortho_page_winners(h, results, file);
    ortho_page_cases(h, results, file);
    ortho_page_plots(h, page->plots != NULL ? page->plots[file] : NULL, file);
    ortho_page_environment(h, results, file);
    ortho_page_details(h, results, file);
    ortho_html_raw(h, "</section>\n");
}

static void put_foot(ortho_html *h)
{
    ortho_html_put(h,
                   "<footer><p>Made by ortho-bench %d.%d.%d. This page loads nothing; it can be "
                   "kept, mailed and opened without a network.</p></footer>\n<script>",
                   ORTHO_VERSION_MAJOR, ORTHO_VERSION_MINOR, ORTHO_VERSION_PATCH);
    ortho_html_raw(h, text_of("page.js"));
    ortho_html_raw(h, "</script>\n</body>\n</html>\n");
}

ortho_status ortho_page_write(const ortho_page *page, FILE *out)
{
    ortho_html h = {.out = out, .status = ORTHO_OK};
    put_head(&h, page);
    put_contents(&h, page);
    ortho_html_raw(&h, "<main id=\"main\" tabindex=\"-1\">\n");
    put_verdict(&h, page);
    if (page->comparison != NULL)
        ortho_page_compare(&h, page->comparison);
    for (size_t i = 0; i < page->count; i++)
        put_results(&h, page, i);
    ortho_page_method(&h, page);
    ortho_page_raw(&h, page);
    ortho_html_raw(&h, "</main>\n");
    put_foot(&h);
    if (h.status == ORTHO_OK && ferror(out))
        return ortho_fail(ORTHO_E_IO, "writing the page failed");
    return h.status;
}
