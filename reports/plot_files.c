/* The files and the text of a plot: gnuplot draws in a folder of its own beside the target, and
 * only whole pictures are moved out of it. */
#define _GNU_SOURCE /* mkdtemp */
#include "common/error.h"
#include "common/output.h"
#include "reports/gnuplot.h"
#include "reports/plot.h"
#include "reports/reports.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ortho_status part_fn(const json_t *results, const ortho_plot *plot, FILE *out);

static ortho_status data_only(const json_t *results, const ortho_plot *plot, FILE *out)
{
    return plot->data(results, out);
}

static ortho_status join(char out[PATH_MAX], const char *folder, const char *name,
                         const char *extension)
{
    int used = snprintf(out, PATH_MAX, "%s/%s%s", folder, name, extension);
    return used > 0 && used < PATH_MAX
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_ARGUMENT, "%.80s...: the folder's name is too long", folder);
}

static ortho_status write_part(const json_t *results, const ortho_plot *plot, const char *path,
                               part_fn *part)
{
    ortho_output output = {0};
    ortho_status status = ortho_output_begin(path, &output);
    if (status != ORTHO_OK)
        return status;
    status = part(results, plot, output.stream);
    if (status == ORTHO_OK)
        return ortho_output_commit(&output);
    ortho_output_abort(&output);
    return status;
}

/* Moves a picture out of the folder it was drawn in, once it is on disk and not empty. */
static ortho_status take_picture(const char *drawn_in, const char *folder, const char *name,
                                 const char *extension)
{
    char from[PATH_MAX], to[PATH_MAX];
    ortho_status status = join(from, drawn_in, name, extension);
    if (status == ORTHO_OK)
        status = join(to, folder, name, extension);
    if (status != ORTHO_OK)
        return status;
    struct stat st;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        status = ortho_fail(ORTHO_E_INTERNAL, "%s: gnuplot drew nothing", to);
    else if (fsync(fd) != 0 || rename(from, to) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", to, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (status != ORTHO_OK)
        unlink(from);
    return status;
}

static ortho_status draw(const ortho_plot *plot, const char *folder, const char *script)
{
    char inside[PATH_MAX], absolute[PATH_MAX];
    if (realpath(script, absolute) == NULL)
        return ortho_fail(ORTHO_E_IO, "%s: %s", script, strerror(errno));
    ortho_status status = join(inside, folder, ".draw-XXXXXX", "");
    if (status != ORTHO_OK)
        return status;
    if (mkdtemp(inside) == NULL)
        return ortho_fail(ORTHO_E_IO, "%s: can't draw here: %s", folder, strerror(errno));
    status = ortho_gnuplot_run(absolute, inside, NULL);
    if (status == ORTHO_OK)
        status = take_picture(inside, folder, plot->name, ".svg");
    if (status == ORTHO_OK)
        status = take_picture(inside, folder, plot->name, ".png");
    char left[PATH_MAX]; /* a picture whose twin failed */
    for (int i = 0; i < 2 && status != ORTHO_OK; i++)
        if (snprintf(left, sizeof left, "%s/%s%s", inside, plot->name, i == 0 ? ".svg" : ".png") <
            PATH_MAX)
            unlink(left);
    rmdir(inside);
    return status;
}

ortho_status ortho_plot_files(const json_t *results, const ortho_plot *plot, const char *folder)
{
    char data[PATH_MAX], script[PATH_MAX];
    ortho_status status = join(data, folder, plot->name, ".tsv");
    if (status == ORTHO_OK)
        status = join(script, folder, plot->name, ".gp");
    if (status == ORTHO_OK)
        status = write_part(results, plot, data, data_only);
    if (status == ORTHO_OK)
        status = write_part(results, plot, script, ortho_plot_script);
    return status == ORTHO_OK ? draw(plot, folder, script) : status;
}

ortho_status ortho_plot_tty(const json_t *results, const ortho_plot *plot, int width, int height,
                            FILE *out)
{
    char script[] = "/tmp/ortho-plot-XXXXXX";
    int fd = mkstemp(script);
    FILE *gp = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (gp == NULL) {
        if (fd >= 0)
            close(fd);
        return ortho_fail(ORTHO_E_IO, "no temporary file for a plot: %s", strerror(errno));
    }
    ortho_plot_size size = {.width = width < 60    ? 60
                                     : width > 400 ? 400
                                                   : width,
                            .height = height < 16    ? 16
                                      : height > 200 ? 200
                                                     : height};
    ortho_status status = ortho_plot_text_script(results, plot, size, gp);
    if (fclose(gp) != 0 && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", script, strerror(errno));
    if (status == ORTHO_OK)
        status = ortho_gnuplot_run(script, NULL, out);
    unlink(script);
    return status;
}
