#include "datasets/fetch/url.h"

#include "common/error.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &four) == 1 && (ntohl(four.s_addr) >> 24) == 127;
}

/* A part of an URL for the caller to free (curl_free); NULL when it has none. */
static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(url, what, &text, flags) == CURLUE_OK ? text : NULL;
}

static ortho_status describe(CURLU *url, ortho_origin *out)
{
    ortho_status status = ORTHO_OK;
    char *scheme = part(url, CURLUPART_SCHEME, 0), *host = part(url, CURLUPART_HOST, 0);
    char *port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    char *user = part(url, CURLUPART_USER, 0), *password = part(url, CURLUPART_PASSWORD, 0);
    ortho_origin origin = {0};
    if (!scheme || !host || !port ||
        (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)) {
        status = ortho_fail(ORTHO_E_ARGUMENT, "an URL must be http:// or https://, not %.40s",
                            scheme ? scheme : "without a scheme");
    } else if (user || password) {
        status =
            ortho_fail(ORTHO_E_ARGUMENT, "an URL with a user or password in it (at %.200s)", host);
    } else if (snprintf(origin.text, sizeof origin.text, "%s://%s:%s", scheme, host, port) >=
               (int)sizeof origin.text) {
        status = ortho_fail(ORTHO_E_ARGUMENT, "an URL whose host is too long");
    } else {
        for (char *p = origin.text; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        origin.https = strcasecmp(scheme, "https") == 0;
        origin.loopback = is_loopback(host);
        *out = origin;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return status;
}

ortho_status ortho_url_origin(const char *url, ortho_origin *out)
{
    CURLU *handle = curl_url();
    if (!handle)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an URL");
    ortho_status status;
    if (curl_url_set(handle, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        status = ortho_fail(ORTHO_E_ARGUMENT, "this is no URL of http:// or https://");
    else
        status = describe(handle, out);
    curl_url_cleanup(handle);
    return status;
}

ortho_status ortho_url_resolve(const char *base, const char *reference, char out[ORTHO_URL_SIZE])
{
    CURLU *handle = curl_url();
    if (!handle)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an URL");
    char *text = NULL;
    bool good =
        curl_url_set(handle, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_set(handle, CURLUPART_URL, reference, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(handle, CURLUPART_URL, &text, 0) == CURLUE_OK && strlen(text) < ORTHO_URL_SIZE;
    if (good)
        memcpy(out, text, strlen(text) + 1);
    curl_free(text);
    curl_url_cleanup(handle);
    return good ? ORTHO_OK : ortho_fail(ORTHO_E_ARGUMENT, "its Location is no URL");
}

ortho_status ortho_url_escape(const char *text, char *out, size_t size)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    if (!escaped)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for an URL");
    bool fits = strlen(escaped) < size;
    if (fits)
        memcpy(out, escaped, strlen(escaped) + 1);
    curl_free(escaped);
    return fits ? ORTHO_OK : ortho_fail(ORTHO_E_ARGUMENT, "%.100s: too long for an URL", text);
}
