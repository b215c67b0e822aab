/* The input is the head of an HTTP answer, or several; a line ends at a line feed, as libcurl hands
 * it on. */
#include "common/error.h"
#include "datasets/fetch/headers.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text that was kept: it ends, and nothing of it could drive a terminal or end a header. */
static void check_text(const char *text, size_t room)
{
    size_t length = strnlen(text, room);
    if (length == room)
        abort();
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            abort();
}

static void check(const ortho_http_head *h)
{
    if (h->has_range && (h->begin >= h->end || (!h->unknown_total && h->end > h->total) ||
                         h->end > (uint64_t)1 << 63))
        abort(); /* a range that is none */
    if (h->commit[0] && strlen(h->commit) != ORTHO_COMMIT_SIZE - 1)
        abort();
    if (h->status && (h->status < 100 || h->status > 599))
        abort();
    if (h->redirects && (!h->passed || h->status / 100 != 3))
        abort();
    if (h->lines > ORTHO_HTTP_MAX_LINES || h->bytes > ORTHO_HTTP_MAX_BYTES)
        abort();
    if (h->retry_seconds < -1)
        abort();
    check_text(h->commit, sizeof h->commit);
    check_text(h->etag, sizeof h->etag);
    check_text(h->error_code, sizeof h->error_code);
    check_text(h->location, sizeof h->location);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ortho_http_head head;
    ortho_http_head_begin(&head);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) + 1 : size;
        char *line = malloc(length); /* of its own, so that reading beyond it is seen */
        if (!line)
            abort();
        memcpy(line, data, length);
        ortho_fail(ORTHO_OK, "%s", "");
        ortho_status status = ortho_http_head_line(&head, line, length);
        free(line);
        if (status != ORTHO_OK) {
            if (!ortho_last_message()[0])
                abort(); /* refused without a word */
            return 0;
        }
        check(&head);
        data += length;
        size -= length;
    }
    return 0;
}
