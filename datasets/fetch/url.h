/* url.h: whom an URL addresses. A secret goes to one origin (scheme, host, port) and no other. */
#ifndef ORTHO_FETCH_URL_H
#define ORTHO_FETCH_URL_H

#include <ortho/ortho.h>
#include <stdbool.h>

#define ORTHO_URL_SIZE    12288
#define ORTHO_ORIGIN_SIZE 320

typedef struct ortho_origin {
    char text[ORTHO_ORIGIN_SIZE]; /* scheme://host:port, lower case: equal texts are one origin */
    bool https;
    bool loopback; /* 127.0.0.0/8, ::1 or localhost */
} ortho_origin;

/* The origin of an http or https URL. ARGUMENT for anything else, and for an URL that holds a user
 * or a password. Its message holds the origin at most: the rest of an URL may be a secret. */
ortho_status ortho_url_origin(const char *url, ortho_origin *out);

/* What `reference` (an URL, or a path) means in an answer to `base`. ARGUMENT when nothing. */
ortho_status ortho_url_resolve(const char *base, const char *reference, char out[ORTHO_URL_SIZE]);

/* `text` with every byte but letters, digits, '-', '_', '.', '~' as %XX. ARGUMENT: it doesn't fit.
 */
ortho_status ortho_url_escape(const char *text, char *out, size_t size);

#endif
