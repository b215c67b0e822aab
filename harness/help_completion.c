/* Completion scripts for bash, zsh and fish: the words are those of this very build. */
#include "harness/help.h"

#include <string.h>

#define WORDS_MAX 256

static void print_words(const ob_option *option, FILE *out)
{
    const char *words[WORDS_MAX];
    size_t n = ob_option_words(option, words, WORDS_MAX);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s%s", i ? " " : "", words[i]);
}

static void print_commands(FILE *out)
{
    const char *gap = "";
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
        if (!(*c)->hidden) {
            fprintf(out, "%s%s", gap, (*c)->name);
            gap = " ";
        }
}

/* Inside single quotes of any of the three shells; zsh's own brackets and colons too. */
static void quoted(FILE *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            fputs("\xe2\x80\x99", out); /* a typographic apostrophe needs no escape anywhere */
        else if (*p == '[' || *p == ']')
            fputc(*p == '[' ? '(' : ')', out);
        else if (*p != '`' && *p != '\\')
            fputc(*p == ':' ? ',' : *p, out);
}

/* The command that an option belongs to where another has one of its name; NULL: it stands alone.
 */
static const char *only_command(const ob_option *option)
{
    bool shared = false;
    for (size_t i = 0; i < ob_option_count; i++)
        shared |=
            &ob_option_table[i] != option && strcmp(ob_option_table[i].name, option->name) == 0;
    for (const ob_command *const *c = ob_command_table; shared && *c != NULL; c++)
        if (option->commands & (*c)->bit)
            return (*c)->name;
    return NULL;
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_values(FILE *out)
{
    for (size_t i = 0; i < ob_option_count; i++) {
        const ob_option *o = &ob_option_table[i];
        if (o->argument == NULL)
            continue;
        const char *command = only_command(o);
        fprintf(out, "    %s:--%s", command != NULL ? command : "*", o->name);
        if (o->letter != 0)
            fprintf(out, "|*:-%c", o->letter);
        fputs(") ", out);
        const char *words[1];
        if (o->from == OB_WORDS_FILES)
            fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", out);
        else if (o->from == OB_WORDS_FOLDERS)
            fputs("COMPREPLY=($(compgen -d -- \"$cur\"))", out);
        else if (ob_option_words(o, words, 1) > 0) {
            fputs("_ortho_bench_words '", out);
            print_words(o, out);
            fputc('\'', out);
        } else
            fputs(":", out);
        fputs("; return ;;\n", out);
    }
}

static void bash_commands(FILE *out)
{
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++) {
        if ((*c)->hidden)
            continue;
        fprintf(out, "    %s) options='", (*c)->name);
        for (size_t i = 0; i < ob_option_count; i++)
            if (ob_option_table[i].commands & (*c)->bit)
                fprintf(out, "--%s ", ob_option_table[i].name);
        fputs("--help --version' ;;\n", out);
    }
}

static void bash(FILE *out)
{
    fputs("# bash completion for ortho-bench; generated\n"
          "# The last item of a comma list, completed; what stands before it is kept.\n"
          "_ortho_bench_words()\n{\n"
          "    local last=${cur##*,} before=''\n"
          "    [[ $cur == *,* ]] && before=${cur%,*},\n"
          "    COMPREPLY=($(compgen -P \"$before\" -W \"$1\" -- \"$last\"))\n}\n\n"
          "_ortho_bench()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev='' command=run options='' i\n"
          "    ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    # readline splits --name=value into three words\n"
          "    if [[ $cur == '=' ]]; then cur=''\n"
          "    elif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
          "    [[ ${COMP_WORDS[1]} != -* && COMP_CWORD -gt 1 ]] && command=${COMP_WORDS[1]}\n"
          "    case $command:$prev in\n",
          out);
    bash_values(out);
    fputs("    esac\n    case $command in\n", out);
    bash_commands(out);
    fputs("    esac\n    if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- "
          "\"$cur\"))\n    elif ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W '",
          out);
    print_commands(out);
    fputs("' -- \"$cur\"))\n    elif [[ $command == help ]]; then COMPREPLY=($(compgen -W '", out);
    print_commands(out);
    fputs("' -- \"$cur\"))\n    else COMPREPLY=($(compgen -f -- \"$cur\")); fi\n}\n"
          "complete -o filenames -F _ortho_bench ortho-bench\n",
          out);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

static void zsh_option(const ob_option *o, FILE *out)
{
    fprintf(out, "    '--%s%s[", o->name, o->argument ? "=" : "");
    quoted(out, o->help);
    fputc(']', out);
    if (o->argument != NULL) {
        fputc(':', out);
        quoted(out, o->argument);
        fputc(':', out);
        const char *words[1];
        bool list = o->type == OB_VALUE_WORDS || o->type == OB_VALUE_OPS ||
                    o->type == OB_VALUE_BITS || o->from == OB_WORDS_COUNTERS;
        if (o->from == OB_WORDS_FILES)
            fputs("_files", out);
        else if (o->from == OB_WORDS_FOLDERS)
            fputs("_files -/", out);
        else if (ob_option_words(o, words, 1) > 0) {
            fputs(list ? "_values -s , word " : "(", out);
            print_words(o, out);
            fputs(list ? "" : ")", out);
        }
    }
    fputs("' \\\n", out);
}

static void zsh(FILE *out)
{
    fputs("#compdef ortho-bench\n# generated\nlocal -a options\nlocal command=run\n"
          "[[ CURRENT -gt 2 && $words[2] != -* ]] && command=$words[2]\n"
          "if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n    local -a commands=(\n",
          out);
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
        if (!(*c)->hidden) {
            fprintf(out, "    '%s:", (*c)->name);
            quoted(out, (*c)->summary);
            fputs("'\n", out);
        }
    fputs("    )\n    _describe command commands\n    return\nfi\ncase $command in\n", out);
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++) {
        if ((*c)->hidden)
            continue;
        fprintf(out, "%s)\n    _arguments \\\n", (*c)->name);
        for (size_t i = 0; i < ob_option_count; i++)
            if (ob_option_table[i].commands & (*c)->bit)
                zsh_option(&ob_option_table[i], out);
        fputs("    '--help[help]' '--version[version]' '*:file:_files' ;;\n", out);
    }
    fputs("esac\n", out);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_option(const ob_option *o, FILE *out)
{
    fputs("complete -c ortho-bench", out);
    if (o->commands != OB_FOR_ALL) {
        fputs(" -n '__ortho_bench_takes", out);
        for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
            if (!(*c)->hidden && ((*c)->bit & o->commands))
                fprintf(out, " %s", (*c)->name);
        fputc('\'', out);
    }
    fprintf(out, " -l %s", o->name);
    if (o->letter != 0)
        fprintf(out, " -s %c", o->letter);
    const char *words[1];
    if (o->from == OB_WORDS_FILES || o->from == OB_WORDS_FOLDERS)
        fputs(" -r -F", out);
    else if (o->argument != NULL)
        fputs(" -x", out);
    if (o->argument != NULL && ob_option_words(o, words, 1) > 0) {
        fputs(" -a '", out);
        print_words(o, out);
        fputc('\'', out);
    }
    fputs(" -d '", out);
    quoted(out, o->help);
    fputs("'\n", out);
}

static void fish(FILE *out)
{
    fputs("# fish completion for ortho-bench; generated\n"
          "function __ortho_bench_takes\n"
          "    set -l words (commandline -opc)\n"
          "    set -l command run\n"
          "    if test (count $words) -gt 1; and not string match -q -- '-*' $words[2]\n"
          "        set command $words[2]\n    end\n"
          "    contains -- $command $argv\nend\n",
          out);
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
        if (!(*c)->hidden) {
            fprintf(out, "complete -c ortho-bench -n __fish_use_subcommand -a %s -d '", (*c)->name);
            quoted(out, (*c)->summary);
            fputs("'\n", out);
        }
    for (size_t i = 0; i < ob_option_count; i++)
        fish_option(&ob_option_table[i], out);
    fputs("complete -c ortho-bench -s h -l help -d 'Help'\n"
          "complete -c ortho-bench -s V -l version -d 'Version'\n",
          out);
}

bool ob_help_completion(const char *shell, FILE *out)
{
    static const struct {
        const char *name;
        void (*print)(FILE *);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].print(out);
            return true;
        }
    return false;
}
