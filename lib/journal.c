#define _GNU_SOURCE
#include "lib/journal.h"

#include "common/error.h"
#include "datasets/file.h"
#include "lib/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_BYTES (1u << 28) /* of a journal: two million units */
#define LINE_BYTES 192

/* ---- what a run is --------------------------------------------------------------------------- */

/* All that decides the artifact's bytes: the headers (rule, density, names, places), and each
 * source file's size and time. */
static ortho_status fingerprint(const ortho_plan *plan, char hex[ORTHO_HASH_LENGTH + 1])
{
    char *all = NULL;
    size_t bytes = 0;
    bool whole = true;
    FILE *to = open_memstream(&all, &bytes);
    if (to == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a fingerprint");
    ortho_status status = ORTHO_OK;
    for (int32_t i = 0; i < plan->shard_count && status == ORTHO_OK; i++) {
        char *header;
        size_t length;
        status = ortho_header_render(&plan->shards[i].header, &header, &length);
        if (status == ORTHO_OK) {
            whole &= fwrite(header, 1, length, to) == length;
            free(header);
        }
    }
    for (int32_t i = 0; i < plan->file_count && status == ORTHO_OK; i++)
        whole &= fprintf(to, "%s %llu %lld.%09ld\n", plan->files[i].path,
                         (unsigned long long)plan->files[i].bytes,
                         (long long)plan->files[i].time.tv_sec, plan->files[i].time.tv_nsec) > 0;
    whole &= fclose(to) == 0 && all != NULL; /* it may lose all of it and not say so */
    if (!whole && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a fingerprint");
    if (status == ORTHO_OK)
        ortho_hash(all, bytes, hex);
    free(all);
    return status;
}

static ortho_status first_line(const ortho_plan *plan, char line[LINE_BYTES])
{
    char hex[ORTHO_HASH_LENGTH + 1];
    ortho_status status = fingerprint(plan, hex);
    if (status == ORTHO_OK)
        snprintf(line, LINE_BYTES, "ortho-sieve 1 %s density %.9g rule %d group %d\n", hex,
                 plan->options.sieve.density, (int)plan->options.sieve.rule,
                 (int)plan->options.sieve.group);
    return status;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* A unit is named by its place, not by its number: another version may order the work anew. */
static void unit_line(const ortho_unit *u, const ortho_record *r, char line[LINE_BYTES])
{
    char text[LINE_BYTES - 16], check[ORTHO_HASH_LENGTH + 1];
    int length =
        snprintf(text, sizeof text, "%d %llu %llu %s %s", (int)u->shard, (unsigned long long)u->to,
                 (unsigned long long)u->to_bytes, r->made, r->source);
    ortho_hash(text, (size_t)length, check);
    snprintf(line, LINE_BYTES, "%s %.8s\n", text, check);
}

static int by_target(const void *a, const void *b)
{
    const ortho_unit *x = *(const ortho_unit *const *)a, *y = *(const ortho_unit *const *)b;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* Takes one line in. False: it isn't a line of this plan. */
static bool take_line(ortho_journal *j, const ortho_unit *const *order, const char *text)
{
    ortho_unit wanted = {0};
    const ortho_unit *key = &wanted;
    unsigned long long to, bytes;
    char line[LINE_BYTES];
    ortho_record r = {.there = true};
    if (sscanf(text, "%d %llu %llu %32s %32s", &wanted.shard, &to, &bytes, r.made, r.source) != 5)
        return false;
    wanted.to = to;
    const ortho_unit *const *found =
        bsearch(&key, order, (size_t)j->plan->unit_count, sizeof *order, by_target);
    if (found == NULL || (*found)->to_bytes != bytes)
        return false;
    unit_line(*found, &r, line);
    line[strlen(line) - 1] = '\0';
    if (strcmp(line, text) != 0) /* its check word is wrong */
        return false;
    j->records[*found - j->plan->units] = r;
    return true;
}

/* Reads the lines behind the first; returns the length of what is good. */
static size_t take_lines(ortho_journal *j, const ortho_unit *const *order, char *text)
{
    char *at = text;
    for (char *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = '\0';
        if (!take_line(j, order, at))
            break;
    }
    return (size_t)(at - text);
}

static ortho_status read_lines(ortho_journal *j, char *text, size_t *good)
{
    const ortho_unit **order = malloc(((size_t)j->plan->unit_count + 1) * sizeof *order);
    if (order == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a journal");
    for (int64_t i = 0; i < j->plan->unit_count; i++)
        order[i] = &j->plan->units[i];
    qsort(order, (size_t)j->plan->unit_count, sizeof *order, by_target);
    *good += take_lines(j, order, text + *good);
    free(order);
    return ORTHO_OK;
}

/* Behind the lines that are whole: over the piece of one that an earlier failure left. */
static ortho_status put(ortho_journal *j, const char *line)
{
    size_t length = strlen(line);
    for (size_t done = 0; done < length;) {
        ssize_t put = pwrite(j->fd, line + done, length - done, (off_t)(j->length + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return ortho_fail(ORTHO_E_IO, "%s: %s", j->path,
                              put < 0 ? strerror(errno) : "nothing could be written");
        done += (size_t)put;
    }
    j->length += length;
    return ORTHO_OK;
}

/* Reads what is there; what isn't good is cut off. */
static ortho_status resume_from(ortho_journal *j, const char *first)
{
    char *text;
    size_t length, good = strlen(first);
    ortho_status status = ortho_file_slurp(j->path, MOST_BYTES, &text, &length);
    if (status != ORTHO_OK)
        return status;
    bool begun =
        strchr(text, '\n') != NULL; /* else the run ended before its first line was whole */
    if (begun && (length < good || memcmp(text, first, good) != 0))
        status = ortho_fail(
            ORTHO_E_ARGUMENT,
            "%s: the interrupted run there is another one (%.*s), or its source has changed: give "
            "the options that it had, or remove that file's folder to begin anew",
            j->path, (int)strcspn(text, "\n"), text);
    else if (begun)
        status = read_lines(j, text, &good);
    free(text);
    if (status == ORTHO_OK && ftruncate(j->fd, begun ? (off_t)good : 0) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", j->path, strerror(errno));
    j->length = begun ? good : 0;
    return status == ORTHO_OK && !begun ? put(j, first) : status;
}

ortho_status ortho_journal_add(ortho_journal *j, int64_t unit, const ortho_record *record)
{
    char line[LINE_BYTES];
    unit_line(&j->plan->units[unit], record, line);
    ortho_status status = put(j, line);
    if (status == ORTHO_OK) {
        j->records[unit] = *record;
        j->records[unit].there = true;
    }
    return status;
}

ortho_status ortho_journal_open(const char *path, const ortho_plan *plan, bool resume,
                                ortho_journal *out)
{
    char first[LINE_BYTES];
    ortho_journal j = {.fd = -1, .plan = plan};
    ortho_status status = first_line(plan, first);
    if (status != ORTHO_OK)
        return status;
    j.path = strdup(path);
    j.records = calloc((size_t)plan->unit_count + 1, sizeof *j.records);
    if (j.path == NULL || j.records == NULL) {
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a journal");
        goto done;
    }
    j.fd = open(path, resume ? O_RDWR | O_CLOEXEC : O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (j.fd < 0)
        status = ortho_fail(errno == ENOENT ? ORTHO_E_NOT_FOUND : ORTHO_E_IO, "%s: %s", path,
                            strerror(errno));
    else
        status = resume ? resume_from(&j, first) : put(&j, first);
done:
    if (status == ORTHO_OK)
        *out = j;
    else
        ortho_journal_close(&j);
    return status;
}

ortho_status ortho_journal_sync(const ortho_journal *j)
{
    if (fdatasync(j->fd) == 0)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_IO, "%s: can't be synced: %s", j->path, strerror(errno));
}

void ortho_journal_close(ortho_journal *j)
{
    if (j->path != NULL && j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->records);
    *j = (ortho_journal){.fd = -1};
}
