#include "reports/text.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Decodes one code point; a broken byte counts as U+FFFD of one byte. Returns the bytes taken. */
static size_t decode(const char *s, uint32_t *point)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t length = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc0 ? 2 : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *point = 0xfffd;
    if (length == 0)
        return 1;
    uint32_t value = u[0] & first[length];
    for (size_t i = 1; i < length; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (u[i] & 0x3f);
    }
    bool character = value <= 0x10ffff && (value < 0xd800 || value >= 0xe000) && u[0] < 0xf8;
    if (value < least[length] || !character)
        return 1; /* longer than need be, or no character: UTF-8 has neither */
    *point = value;
    return length;
}

/* What could move the cursor, colour the screen or reverse the reading order. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static int columns_of(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0xfe00 && c <= 0xfe0f))
        return 0;
    bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
    return wide ? 2 : 1;
}

char *ortho_text_clean(const char *utf8)
{
    char *out = malloc(3 * strlen(utf8) + 1), *to = out;
    if (out == NULL)
        return NULL;
    while (*utf8 != '\0') {
        uint32_t point;
        size_t taken = decode(utf8, &point);
        if (is_control(point) || point == 0xfffd) {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
        } else {
            memcpy(to, utf8, taken);
            to += taken;
        }
        utf8 += taken;
    }
    *to = '\0';
    return out;
}

char *ortho_text_cut(const char *utf8, int columns)
{
    char *clean = ortho_text_clean(utf8);
    if (clean == NULL || ortho_text_width(clean) <= columns)
        return clean;
    clean[ortho_text_fit(clean, columns - 1)] = '\0';
    char *cut = malloc(strlen(clean) + sizeof "…");
    if (cut != NULL)
        sprintf(cut, "%s…", clean);
    free(clean);
    return cut;
}

void ortho_text_trim(char *utf8)
{
    size_t at = strlen(utf8);
    size_t start = at;
    while (start > 0 && ((unsigned char)utf8[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (start == at && (unsigned char)utf8[at - 1] < 0x80))
        return;
    uint32_t point;
    size_t length = at - (start - 1); /* 1: the first byte of a sequence alone */
    if (length == 1 || decode(utf8 + start - 1, &point) != length)
        utf8[start - 1] = '\0';
}

int ortho_text_width(const char *utf8)
{
    int width = 0;
    while (*utf8 != '\0') {
        uint32_t point;
        utf8 += decode(utf8, &point);
        width += columns_of(point);
    }
    return width;
}

size_t ortho_text_fit(const char *utf8, int columns)
{
    size_t bytes = 0;
    while (utf8[bytes] != '\0') {
        uint32_t point;
        size_t taken = decode(utf8 + bytes, &point);
        columns -= columns_of(point);
        if (columns < 0)
            break;
        bytes += taken;
    }
    return bytes;
}

void ortho_text_wrap(const char *utf8, ortho_wrap wrap, FILE *out)
{
    int column = wrap.column;
    bool first = true;
    while (*utf8 != '\0') {
        size_t length = strcspn(utf8, " ");
        char word[128];
        size_t kept = length < sizeof word ? length : sizeof word - 1;
        memcpy(word, utf8, kept); /* a longer word is written in parts */
        word[kept] = '\0';
        ortho_text_trim(word);
        kept = strlen(word);
        int width = ortho_text_width(word);
        if (!first && wrap.width > 0 && column + 1 + width > wrap.width) {
            fprintf(out, "\n%*s", wrap.indent, "");
            column = wrap.indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fputs(word, out);
        column += width;
        first = false;
        utf8 += kept > 0 ? kept : length;
        utf8 += strspn(utf8, " ");
    }
}

const char *ortho_text_number(double value, char out[32])
{
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char point = localeconv()->decimal_point[0];
    char *at = point != '.' ? strchr(text, point) : NULL;
    if (at != NULL)
        *at = '.';
    memcpy(out, text, sizeof text);
    return out;
}

void ortho_text_three(double value, char *out, size_t size)
{
    if (isnan(value)) {
        out[0] = '\0';
        return;
    }
    double magnitude = fabs(value);
    int decimals = magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : magnitude >= 0.9995 ? 2 : 3;
    if (magnitude >= 0.0995 || magnitude == 0)
        snprintf(out, size, "%.*f", decimals, value);
    else
        snprintf(out, size, magnitude >= 1e-4 ? "%.3g" : "%.1e", value);
}

static void scaled(double value, double step, const char *const units[], char *out, size_t size)
{
    char digits[32];
    while (fabs(value) >= step * 0.9995 && units[1] != NULL) {
        value /= step;
        units++;
    }
    ortho_text_three(value, digits, sizeof digits);
    snprintf(out, size, "%s %s", digits, units[0]);
}

void ortho_text_time(double ns, char *out, size_t size)
{
    static const char *const units[] = {"ns", "µs", "ms", "s", NULL};
    if (isnan(ns))
        out[0] = '\0';
    else
        scaled(ns, 1000, units, out, size);
}

void ortho_text_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
    if (isnan(bytes))
        out[0] = '\0';
    else if (fabs(bytes) < 1024)
        snprintf(out, size, "%.0f B", bytes);
    else
        scaled(bytes, 1024, units, out, size);
}
