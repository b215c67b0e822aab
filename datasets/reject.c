#include "datasets/reject.h"

#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the well-formed sequence at p (at most `left` long); 0 when it is malformed. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char lo, hi, second_lo, second_hi, length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (p[0] < 0x80)
        return 1;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (p[0] < forms[f].lo || p[0] > forms[f].hi)
            continue;
        if (left < forms[f].length || p[1] < forms[f].second_lo || p[1] > forms[f].second_hi)
            return 0;
        for (size_t i = 2; i < forms[f].length; i++)
            if (p[i] < 0x80 || p[i] > 0xbf)
                return 0;
        return forms[f].length;
    }
    return 0;
}

/* C0, DEL and C1 controls: what a terminal could obey. */
static bool is_control(const unsigned char *p)
{
    return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

void ortho_printable(const char *text, size_t length, char *out, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0, i = 0;
    while (i < length) {
        size_t step = sequence_length(p + i, length - i);
        bool shown = step > 0 && !is_control(p + i);
        if (used + (shown ? step : 1) + 4 > size)
            break;
        if (shown) {
            memcpy(out + used, p + i, step);
            used += step;
        } else {
            out[used++] = '?';
        }
        i += step > 0 ? step : 1;
    }
    memcpy(out + used, i < length ? "..." : "", i < length ? 4 : 1);
}

bool ortho_text_is_clean(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < length;) {
        size_t step = sequence_length(p + i, length - i);
        if (step == 0 || is_control(p + i))
            return false;
        i += step;
    }
    return true;
}

ortho_status ortho_reject(ortho_status status, ortho_place place, const char *format, ...)
{
    enum { PATH_SHOWN = 360 };
    char file[PATH_SHOWN + 8], tensor[128] = "", words[400], reason[400];
    size_t length = strlen(place.file);
    bool cut = length >= PATH_SHOWN; /* a path's end tells more than its beginning */
    const char *shown = cut ? place.file + length - PATH_SHOWN : place.file;
    ortho_printable(shown, strlen(shown), file, sizeof file);
    if (place.tensor)
        ortho_printable(place.tensor, strlen(place.tensor), tensor, sizeof tensor);
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    ortho_printable(words, strlen(words), reason, sizeof reason);
    if (tensor[0])
        return ortho_fail(status, "%s%s: tensor \"%s\": byte %llu: %s", cut ? "..." : "", file,
                          tensor, (unsigned long long)place.offset, reason);
    return ortho_fail(status, "%s%s: byte %llu: %s", cut ? "..." : "", file,
                      (unsigned long long)place.offset, reason);
}
