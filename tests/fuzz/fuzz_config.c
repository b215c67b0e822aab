/* The input is a model's config.json. What the sieve makes of it is that text with one piece put
 * in, or in the place of a null, and says of itself that it is sieved. */
#include "common/error.h"
#include "lib/model_config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool kept)
{
    if (!kept)
        abort();
}

static char *copy_of(const void *data, size_t size)
{
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* All of `from` stands around the piece, but for a null. */
static void check_kept(const char *from, size_t length, const char *made, size_t grown)
{
    size_t head = 0, tail = 0;
    require(grown > length && grown <= length + ORTHO_MODEL_CONFIG_ROOM);
    while (head < length && from[head] == made[head])
        head++;
    while (tail < length - head && from[length - 1 - tail] == made[grown - 1 - tail])
        tail++;
    size_t gone = length - head - tail;
    require(gone == 0 || (gone <= 4 && memcmp(&"null"[4 - gone], from + head, gone) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ortho_sieve_options sieve = {.size = sizeof sieve, .density = 0.01, .group = 128};
    char *from = copy_of(data, size), *made = copy_of(data, size);
    size_t length = size;
    ortho_status status = ortho_model_config_tell("config.json", &sieve, &made, &length);
    if (status != ORTHO_OK) {
        require(length == size && memcmp(made, from, size + 1) == 0);
        require(ortho_last_message()[0] != '\0');
    } else {
        check_kept(from, size, made, length);
        require(ortho_model_config_tell("config.json", &sieve, &made, &length) ==
                ORTHO_E_UNSUPPORTED);
        require(strstr(ortho_last_message(), "is sieved already") != NULL);
    }
    free(from);
    free(made);
    return 0;
}
