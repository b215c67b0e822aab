/* export: a native results file through a writer. usage: export WRITER RESULTS.json OUT.json */
#include "reports/reports.h"

#include <jansson.h>

int main(int argc, char **argv)
{
    const ortho_writer *writer = argc == 4 ? ortho_writer_find(argv[1]) : NULL;
    const ortho_writer_options options = {0};
    json_t *results = NULL;
    if (writer == NULL)
        return 2;
    ortho_status status = ortho_results_load(argv[2], &results);
    if (status == ORTHO_OK)
        status = ortho_report_write(results, writer, &options, argv[3]);
    if (status != ORTHO_OK)
        fprintf(stderr, "%s: %s\n", ortho_status_name(status), ortho_last_message());
    json_decref(results);
    return status == ORTHO_OK ? 0 : 1;
}
