/* fuzz_documents.h: what the targets share that read documents of results or of a comparison. An
 * input is up to three of them, a zero byte between two; each is read as the program reads its
 * files. */
#ifndef ORTHO_TEST_FUZZ_DOCUMENTS_H
#define ORTHO_TEST_FUZZ_DOCUMENTS_H

#include "common/error.h"
#include "reports/compare/compare.h"
#include "reports/model.h"
#include "reports/page/page.h"
#include "reports/reports.h"
#include "tests/fuzz/fuzz_folder.h"
#include "tests/fuzz/json_mutator.h"

enum { FUZZ_DOCUMENTS = 3 };

typedef struct fuzz_documents {
    json_t *document[FUZZ_DOCUMENTS];
    size_t count;
} fuzz_documents;

typedef ortho_status fuzz_loader(const char *path, json_t **out);

static void fuzz_refused(ortho_status status)
{
    if (status != ORTHO_OK && !ortho_last_message()[0])
        abort(); /* refused without a word */
    if (status == ORTHO_E_INTERNAL) {
        fprintf(stderr, "INTERNAL: %s\n", ortho_last_message());
        abort(); /* a document is no reason to blame the program */
    }
}

static void fuzz_close(fuzz_documents *d)
{
    for (size_t i = 0; i < d->count; i++)
        json_decref(d->document[i]);
}

/* False, with nothing to close, when one of them is refused. */
static bool fuzz_load(const uint8_t *data, size_t size, fuzz_loader *load, fuzz_documents *out)
{
    fuzz_documents d = {0};
    char path[128];
    for (size_t begin = 0; begin < size && d.count < FUZZ_DOCUMENTS;) {
        const uint8_t *zero = memchr(data + begin, 0, size - begin);
        size_t length = zero != NULL ? (size_t)(zero - data) - begin : size - begin;
        fuzz_write(path, "document.json", data + begin, length);
        ortho_status status = load(path, &d.document[d.count]);
        fuzz_refused(status);
        if (status != ORTHO_OK) {
            fuzz_close(&d);
            return false;
        }
        d.count++;
        begin += length + 1;
    }
    *out = d;
    return d.count > 0;
}

/* Whatever a document holds, what is made of it is UTF-8 that drives no terminal. CSV alone keeps
 * texts as they are. */
static void fuzz_check_text(const char *text, size_t size, bool color, const char *by)
{
    json_t *utf8 = json_stringn(text, size);
    if (utf8 == NULL) {
        fprintf(stderr, "%s wrote broken UTF-8: %.2000s\n", by, text);
        abort();
    }
    json_decref(utf8);
    for (size_t i = 0; i < size && strcmp(by, "csv") != 0; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && strchr("\t\n\r", c) == NULL && !(color && c == 0x1b)) || c == 0) {
            fprintf(stderr, "%s wrote the control character %d: %.*s\n", by, c, (int)i + 1, text);
            abort();
        }
    }
}

/* What a writer made, to be freed; NULL: refused. */
static char *fuzz_written(const ortho_writer *writer, const json_t *document,
                          ortho_writer_options options)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    ortho_status status = writer->write(document, &options, stream);
    fuzz_refused(status);
    fclose(stream);
    if (status == ORTHO_OK) {
        fuzz_check_text(text, size, options.color, writer->name);
        return text;
    }
    free(text);
    return NULL;
}

/* With every writer; what is named JSON is JSON. */
static void fuzz_write_all(const ortho_writer *const *writers, const json_t *document)
{
    for (; *writers != NULL; writers++) {
        char *text = fuzz_written(*writers, document, (ortho_writer_options){.color = false});
        const char *extension = (*writers)->extension;
        if (text != NULL && extension != NULL && strstr(extension, "json") != NULL) {
            json_t *back = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
            if (back == NULL)
                abort();
            json_decref(back);
        }
        free(text);
        free(fuzz_written(*writers, document, (ortho_writer_options){.color = true, .width = 40}));
    }
}

static void fuzz_page(const ortho_page *page)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    ortho_status status = ortho_page_write(page, stream);
    fuzz_refused(status);
    fclose(stream);
    if (status == ORTHO_OK)
        fuzz_check_text(text, size, false, "the page");
    free(text);
}

#endif
