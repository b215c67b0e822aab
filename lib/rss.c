#include "lib/rss.h"

#include <stdio.h>
#include <string.h>

/* "VmRSS:   123 kB" and "VmHWM:". */
static void read_status(uint64_t *resident, uint64_t *mark)
{
    char line[256];
    unsigned long long kilobytes;
    *resident = *mark = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %llu kB", &kilobytes) == 1)
            *resident = kilobytes * 1024;
        if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1)
            *mark = kilobytes * 1024;
    }
    fclose(file);
}

void ortho_rss_begin(ortho_rss *rss)
{
    read_status(&rss->before, &rss->mark);
    rss->most = rss->before;
}

void ortho_rss_sample(ortho_rss *rss)
{
    uint64_t resident, mark;
    read_status(&resident, &mark);
    rss->most = resident > rss->most ? resident : rss->most;
}

uint64_t ortho_rss_peak(ortho_rss *rss)
{
    uint64_t resident, mark;
    read_status(&resident, &mark);
    return mark > rss->mark ? mark : rss->most;
}
