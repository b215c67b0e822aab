/* hub_open.c: which hub, with which secrets: all that the environment decides. */
#include "common/error.h"
#include "datasets/fetch/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ENDPOINT "https://huggingface.co"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static ortho_status choose_endpoint(ortho_hub *hub)
{
    const char *endpoint = environment("HF_ENDPOINT");
    if (!endpoint)
        endpoint = DEFAULT_ENDPOINT;
    size_t length = strlen(endpoint);
    while (length > 0 && endpoint[length - 1] == '/')
        length--;
    if (length >= sizeof hub->endpoint || strpbrk(endpoint, "?#\\ \t\r\n"))
        return ortho_fail(ORTHO_E_ARGUMENT, "HF_ENDPOINT is no address of a hub, such as %s",
                          DEFAULT_ENDPOINT);
    memcpy(hub->endpoint, endpoint, length);
    ortho_status status = ortho_url_origin(hub->endpoint, &hub->origin);
    return status == ORTHO_OK ? status : ortho_fail_prefix(status, "HF_ENDPOINT");
}

bool ortho_hub_sends_token(const ortho_hub *hub)
{
    return hub->token[0] && (hub->origin.https || hub->origin.loopback);
}

ortho_status ortho_hub_open(const ortho_hub_spec *spec, const ortho_fetch_tuning *tuning,
                            ortho_hub *out)
{
    ortho_hub hub = {.tuning = *tuning, .limits = {.timeout = tuning->timeout}};
    const char *offline = environment("HF_HUB_OFFLINE");
    if (offline && strcmp(offline, "0") != 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "HF_HUB_OFFLINE is set: nothing is fetched; unset it to fetch");
    snprintf(hub.repository, sizeof hub.repository, "%s", spec->name);
    hub.limits.ca_file = environment("CURL_CA_BUNDLE");
    if (!hub.limits.ca_file)
        hub.limits.ca_file = environment("SSL_CERT_FILE");
    ortho_status status = choose_endpoint(&hub);
    if (status == ORTHO_OK)
        status = ortho_token_find(hub.token);
    if (status == ORTHO_OK)
        *out = hub;
    return status;
}
