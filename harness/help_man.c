/* The manual page, in scdoc's language: `ortho-bench __man | scdoc > ortho-bench.1`. */
#include "harness/help.h"

#include <string.h>

/* scdoc gives _ * \ and a leading . # - a meaning. */
static void escaped(FILE *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (strchr("_*\\#.~<>[]-", *p) != NULL)
            fputc('\\', out);
        fputc(*p, out);
    }
}

static void bold(FILE *out, const char *before, const char *text)
{
    fputc('*', out);
    escaped(out, before);
    escaped(out, text);
    fputc('*', out);
}

static void print_option(const ob_option *option, FILE *out)
{
    if (option->letter != 0) {
        const char letter[] = {option->letter, '\0'};
        bold(out, "-", letter);
        fputs(", ", out);
    }
    bold(out, "--", option->name);
    if (option->argument != NULL) {
        fputs(" _", out);
        escaped(out, option->argument);
        fputc('_', out);
    }
    fputs("\n\t", out);
    escaped(out, option->help);
    const char *fallback = option->fallback != NULL ? option->fallback : option->unset;
    if (fallback != NULL) {
        fputs(" Default: ", out);
        escaped(out, fallback);
        fputc('.', out);
    }
    if (option->example != NULL) {
        fputs(" Example: ", out);
        bold(out, "", option->example);
    }
    fputs("\n\n", out);
}

static void print_options(FILE *out)
{
    fputs("# OPTIONS\n\n", out);
    for (int group = 0; group < OB_GROUP_COUNT; group++) {
        fprintf(out, "## %s\n\n", ob_option_group_titles[group]);
        for (size_t i = 0; i < ob_option_count; i++)
            if ((int)ob_option_table[i].group == group)
                print_option(&ob_option_table[i], out);
    }
    fputs("*-h*, *\\-\\-help*\n\tHelp for a command.\n\n", out);
    fputs("*-V*, *\\-\\-version*\n\tThe version.\n\n", out);
}

static void print_commands(FILE *out)
{
    fputs("# COMMANDS\n\n", out);
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++) {
        if ((*c)->hidden)
            continue;
        bold(out, "", (*c)->name);
        if ((*c)->operands != NULL) {
            fputs(" _", out);
            escaped(out, (*c)->operands);
            fputc('_', out);
        }
        fputs("\n\t", out);
        escaped(out, (*c)->about);
        fputs("\n\n", out);
    }
}

static void print_examples(FILE *out)
{
    fputs("# EXAMPLES\n\n", out);
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
        for (int i = 0; i < OB_EXAMPLES && (*c)->examples[i].command != NULL; i++) {
            bold(out, "", (*c)->examples[i].command);
            fputs("\n\t", out);
            escaped(out, (*c)->examples[i].what);
            fputs("\n\n", out);
        }
}

static void print_exits(FILE *out)
{
    fputs("# EXIT STATUS\n\n", out);
    for (size_t i = 0; i < ob_exit_word_count; i++) {
        fprintf(out, "*%d*\n\t", ob_exit_words[i].code);
        escaped(out, ob_exit_words[i].meaning);
        fputs("\n\n", out);
    }
}

void ob_help_man(FILE *out)
{
    fprintf(out, "%s(1) \"%s %d.%d.%d\"\n\n", OB_NAME, OB_NAME, ORTHO_VERSION_MAJOR,
            ORTHO_VERSION_MINOR, ORTHO_VERSION_PATCH);
    fputs("# NAME\n\northo-bench - measure the sieve and the dual GEMM of a split linear layer\n\n"
          "# SYNOPSIS\n\n*ortho-bench* \\[_COMMAND_\\] \\[_options_\\] \\[_operands_\\]\n\n"
          "# DESCRIPTION\n\n",
          out);
    escaped(out, OB_ABOUT);
    fputs("\n\n", out);
    print_commands(out);
    print_options(out);
    print_examples(out);
    fputs(
        "# FILES\n\n_\\~/.config/ortho\\-bench/config.ini_\n\tOptions, one _name = value_ a line, "
        "with the names of the long options; under _$XDG\\_CONFIG\\_HOME_ where that is "
        "set. An unknown name is an error.\n\n"
        "_\\~/.local/state/ortho\\-bench/_\n\tBaselines and the history; under "
        "_$XDG\\_STATE\\_HOME_ where that is set.\n\n"
        "# ENVIRONMENT\n\n*ORTHO\\_BENCH\\_OPTION*\n\tAn option by its long name in capitals, "
        "dashes as underscores: ORTHO\\_BENCH\\_CASE\\_TIMEOUT=2. It yields to the command line "
        "and overrides the config file.\n\n"
        "*ORTHO\\_BENCH\\_STATE*\n\tThe folder for baselines and the history.\n\n"
        "*NO\\_COLOR*\n\tWhen set and not empty, *\\-\\-color* auto means never.\n\n",
        out);
    print_exits(out);
}
