#include "reports/paper.h"

#include "reports/text.h"

static const char *const tone_codes[] = {
    [ORTHO_TONE_PLAIN] = "",         [ORTHO_TONE_QUIET] = "\033[2m", [ORTHO_TONE_GOOD] = "\033[32m",
    [ORTHO_TONE_DOUBT] = "\033[33m", [ORTHO_TONE_BAD] = "\033[31m",
};

void ortho_paper_begin(const ortho_paper *paper, ortho_tone tone)
{
    if (paper->color)
        fputs(tone_codes[tone], paper->out);
}

void ortho_paper_end(const ortho_paper *paper, ortho_tone tone)
{
    if (paper->color && tone != ORTHO_TONE_PLAIN)
        fputs("\033[0m", paper->out);
}

void ortho_paper_pad(const ortho_paper *paper, int columns)
{
    if (columns > 0)
        fprintf(paper->out, "%*s", columns, "");
}

void ortho_paper_wrapped(const ortho_paper *paper, const char *text, int indent, ortho_tone tone)
{
    ortho_paper_begin(paper, tone);
    ortho_text_wrap(text, (ortho_wrap){.indent = indent, .width = paper->width}, paper->out);
    ortho_paper_end(paper, tone);
    fputc('\n', paper->out);
}

void ortho_paper_cell(const ortho_paper *paper, const char *text, ortho_paper_place place)
{
    int fill = place.width - ortho_text_width(text);
    ortho_paper_pad(paper, ORTHO_PAPER_GAP + (place.left ? 0 : fill));
    ortho_paper_begin(paper, place.tone);
    fputs(text, paper->out);
    ortho_paper_end(paper, place.tone);
}

void ortho_paper_rule(const ortho_paper *paper, int columns)
{
    for (int i = 0; !paper->color && i < columns; i++)
        fputs("─", paper->out);
    if (!paper->color)
        fputc('\n', paper->out);
}
