/* --help: a paragraph, examples, the options in groups, the exit codes. 80 columns, no colour. */
#define _GNU_SOURCE
#include "harness/help.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN 24 /* where the text of an option starts */

const ob_exit_word ob_exit_words[] = {
    {OB_EXIT_OK, "all is well"},
    {OB_EXIT_RUNTIME, "the run failed: a file, memory, the machine"},
    {OB_EXIT_USAGE, "an option, a config file or a variable is wrong"},
    {OB_EXIT_REGRESSION, "a regression was found"},
    {OB_EXIT_WRONG, "a variant computed a wrong result"},
    {OB_EXIT_AMBIGUOUS, "the measurements don't decide"},
    {OB_EXIT_COUNTERS, "counters that were required are not available"},
    {OB_EXIT_SKIPPED, "everything was skipped, for instance for want of a GPU"},
    {OB_EXIT_INTERRUPTED, "interrupted; what was measured is saved"},
};
const size_t ob_exit_word_count = sizeof ob_exit_words / sizeof *ob_exit_words;

void ob_help_wrap(FILE *out, const char *text, int at, int indent)
{
    int column = at;
    for (const char *p = text; *p != '\0';) {
        int length = (int)strcspn(p, " ");
        if (column > indent && column + 1 + length > OB_HELP_WIDTH - 1) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(p, 1, (size_t)length, out);
        column += length;
        p += length;
        p += strspn(p, " ");
    }
    fputc('\n', out);
}

static void paragraph(FILE *out, const char *text)
{
    ob_help_wrap(out, text, 0, 0);
    fputc('\n', out);
}

/* The words that the help text doesn't name anyway. */
static void print_words(const ob_option *option, FILE *f)
{
    const char *words[128];
    size_t n = ob_option_words(option, words, 128);
    if (n == 0 || option->from == OB_WORDS_VARIANTS)
        return;
    fputs(" One of:", f);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s %s", i ? "," : "", words[i]);
    fputc('.', f);
}

static void print_option(const ob_option *option, FILE *out)
{
    int used = option->letter != 0 ? fprintf(out, "  -%c, --%s", option->letter, option->name)
                                   : fprintf(out, "      --%s", option->name);
    if (option->argument != NULL)
        used += fprintf(out, " %s", option->argument);
    if (used >= COLUMN - 1) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", COLUMN - used, "");
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return;
    fputs(option->help, f);
    if (option->type == OB_VALUE_CHOICE || option->type == OB_VALUE_NAME)
        print_words(option, f);
    const char *fallback = option->fallback != NULL ? option->fallback : option->unset;
    if (fallback != NULL)
        fprintf(f, " Default: %s.", fallback);
    if (fclose(f) == 0)
        ob_help_wrap(out, text, COLUMN, COLUMN);
    free(text);
    if (option->example != NULL)
        fprintf(out, "%*se.g. %s\n", COLUMN, "", option->example);
}

static void print_options(unsigned commands, FILE *out)
{
    for (int group = 0; group < OB_GROUP_COUNT; group++) {
        bool titled = false;
        for (size_t i = 0; i < ob_option_count; i++) {
            const ob_option *o = &ob_option_table[i];
            if ((int)o->group != group || !(o->commands & commands))
                continue;
            if (!titled)
                fprintf(out, "%s:\n", ob_option_group_titles[group]);
            titled = true;
            print_option(o, out);
        }
        if (group == OB_GROUP_GENERAL)
            fprintf(out, "  -h, --help            This text.\n"
                         "  -V, --version         The version.\n");
        if (titled)
            fputc('\n', out);
    }
}

static void print_examples(const ob_command *command, FILE *out)
{
    if (command->examples[0].command == NULL)
        return;
    fputs("Examples:\n", out);
    for (int i = 0; i < OB_EXAMPLES && command->examples[i].command != NULL; i++) {
        fprintf(out, "  %s\n      ", command->examples[i].command);
        ob_help_wrap(out, command->examples[i].what, 6, 6);
    }
    fputc('\n', out);
}

static void print_exits(FILE *out)
{
    fputs("Exit codes:\n", out);
    for (size_t i = 0; i < ob_exit_word_count; i++)
        fprintf(out, "  %3d  %s\n", ob_exit_words[i].code, ob_exit_words[i].meaning);
}

static void print_layers(FILE *out)
{
    paragraph(out, "Every option can also stand in a config file (`batch = 1,16`) or in the "
                   "environment (ORTHO_BENCH_BATCH=1,16). Defaults yield to the config file, it to "
                   "the environment, that to the command line. Results go to stdout, everything "
                   "else to stderr.");
}

void ob_help_command(const ob_command *command, FILE *out)
{
    fprintf(out, "usage: %s %s [options]%s%s\n\n", OB_NAME, command->name,
            command->operands ? " " : "", command->operands ? command->operands : "");
    paragraph(out, command->about);
    print_examples(command, out);
    print_options(command->bit, out);
    print_layers(out);
    print_exits(out);
}

void ob_help_overview(FILE *out)
{
    const ob_command *run = ob_command_default();
    fprintf(out, "usage: %s [COMMAND] [options]\n\n", OB_NAME);
    paragraph(out, OB_ABOUT);
    print_examples(run, out);
    fputs("Commands:\n", out);
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
        if (!(*c)->hidden)
            fprintf(out, "  %-9s %s%s\n", (*c)->name, (*c)->summary,
                    *c == run ? " (the default)" : "");
    fprintf(out, "\n`%s help COMMAND` tells a command's own options. Those of `%s`:\n\n", OB_NAME,
            run->name);
    print_options(run->bit, out);
    print_layers(out);
    print_exits(out);
}

void ob_help_version(FILE *out)
{
    fprintf(out, "%s %d.%d.%d\n", OB_NAME, ORTHO_VERSION_MAJOR, ORTHO_VERSION_MINOR,
            ORTHO_VERSION_PATCH);
}
