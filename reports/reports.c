#include "reports/reports.h"

#include "common/error.h"
#include "common/output.h"
#include "reports/compare/compare.h"

#include <string.h>

const ortho_writer *ortho_writer_find(const char *name)
{
    for (size_t i = 0; ortho_writers[i] != NULL; i++)
        if (strcmp(ortho_writers[i]->name, name) == 0)
            return ortho_writers[i];
    for (size_t i = 0; ortho_writers[i] != NULL; i++)
        if (ortho_writers[i]->extension != NULL && strcmp(ortho_writers[i]->extension, name) == 0)
            return ortho_writers[i];
    return NULL;
}

/* A comparison has writers of its own, under the same names. */
static ortho_status write_any(const struct json_t *document, const ortho_writer *writer,
                              const ortho_writer_options *options, FILE *out)
{
    const ortho_writer *own =
        ortho_is_comparison(document) ? ortho_comparison_writer_find(writer->name) : writer;
    if (own != NULL)
        return own->write(document, options, out);
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "%s has no form for a comparison: --format md has one, and --out DIR without "
                      "--format makes a page of it",
                      writer->name);
}

static ortho_status write_stdout(const struct json_t *results, const ortho_writer *writer,
                                 const ortho_writer_options *options)
{
    ortho_status status = write_any(results, writer, options, stdout);
    if (status == ORTHO_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = ortho_fail(ORTHO_E_IO, "writing to standard output failed");
    return status;
}

ortho_status ortho_report_write(const struct json_t *results, const ortho_writer *writer,
                                const ortho_writer_options *options, const char *path)
{
    const ortho_writer_options plain = {.color = false, .width = 0};
    options = options != NULL ? options : &plain;
    if (strcmp(path, "-") == 0)
        return write_stdout(results, writer, options);
    ortho_output output = {0};
    ortho_status status = ortho_output_begin(path, &output);
    if (status != ORTHO_OK)
        return status;
    status = write_any(results, writer, options, output.stream);
    if (status == ORTHO_OK)
        return ortho_output_commit(&output);
    ortho_output_abort(&output);
    return status;
}
