/* export: a native results file through the gbench writer. usage: export RESULTS.json OUT.json */
#include "reports/reports.h"

#include <jansson.h>

int main(int argc, char **argv)
{
    const ortho_writer *writer = ortho_writer_find("gbench");
    const ortho_writer_options options = {0};
    json_t *results = NULL;
    if (argc != 3 || writer == NULL)
        return 2;
    ortho_status status = ortho_results_load(argv[1], &results);
    if (status == ORTHO_OK)
        status = ortho_report_write(results, writer, &options, argv[2]);
    if (status != ORTHO_OK)
        fprintf(stderr, "%s: %s\n", ortho_status_name(status), ortho_last_message());
    json_decref(results);
    return status == ORTHO_OK ? 0 : 1;
}
