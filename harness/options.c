/*
 * Options in layers: defaults < config file < environment < flags. The flags are read first, for
 * --help and --config, and applied last.
 */
#define _GNU_SOURCE /* environ */
#include "harness/options_load.h"

#include "common/error.h"
#include "harness/options_suggest.h"
#include "harness/options_value.h"
#include "harness/state.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX     "ORTHO_BENCH_"
#define FIRST_LONG 1000 /* getopt's value of option i is FIRST_LONG + i: above every letter */
#define NAMES_MAX  128

typedef struct flag {
    const ob_option *option;
    const char *text;
} flag;

typedef struct flags {
    int count;
    flag *item; /* [argc] */
    int operand_count;
    char **operands;
    ob_asked asked;
} flags;

void ob_options_default(ob_options *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < ob_option_count; i++) {
        const ob_option *o = &ob_option_table[i];
        if (o->fallback == NULL)
            continue;
        if (o->type == OB_VALUE_TEXT || o->type == OB_VALUE_NAME || o->type == OB_VALUE_ROWS)
            memcpy((char *)out + o->offset, &o->fallback, sizeof o->fallback);
        else
            (void)ob_value_set(o, o->fallback, false, out); /* a test parses every default */
    }
}

/* ---- flags: getopt_long over the table ------------------------------------------------------- */

static size_t names_of(unsigned commands, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < ob_option_count && n < NAMES_MAX - 2; i++)
        if (ob_option_table[i].commands & commands)
            names[n++] = ob_option_table[i].name;
    names[n++] = "help";
    names[n++] = "version";
    return n;
}

static void build_getopt(const ob_command *command, struct option *longs, char *shorts)
{
    size_t n = 0, s = 0;
    shorts[s++] = ':';
    shorts[s++] = 'h';
    shorts[s++] = 'V';
    for (size_t i = 0; i < ob_option_count && n < NAMES_MAX - 3; i++) {
        const ob_option *o = &ob_option_table[i];
        if (!(o->commands & command->bit))
            continue;
        longs[n++] = (struct option){o->name, o->argument ? required_argument : no_argument, NULL,
                                     FIRST_LONG + (int)i};
        if (o->letter != 0) {
            shorts[s++] = o->letter;
            if (o->argument)
                shorts[s++] = ':';
        }
    }
    longs[n++] = (struct option){"help", no_argument, NULL, 'h'};
    longs[n++] = (struct option){"version", no_argument, NULL, 'V'};
    longs[n] = (struct option){0};
    shorts[s] = '\0';
}

static const ob_option *option_of(int value)
{
    if (value >= FIRST_LONG)
        return &ob_option_table[value - FIRST_LONG];
    for (size_t i = 0; i < ob_option_count; i++)
        if (ob_option_table[i].letter == value)
            return &ob_option_table[i];
    return NULL;
}

/* "--name" of an option that some other command takes. */
static ortho_status elsewhere(const ob_command *command, const ob_option *option)
{
    static const struct {
        unsigned bit;
        const char *name;
    } takers[] = {
        {OB_FOR_RUN, "run"},           {OB_FOR_VERIFY, "verify"},   {OB_FOR_LIST, "list"},
        {OB_FOR_INSPECT, "inspect"},   {OB_FOR_REPORT, "report"},   {OB_FOR_DOCTOR, "doctor"},
        {OB_FOR_ANNOTATE, "annotate"}, {OB_FOR_HISTORY, "history"}, {OB_FOR_SIEVE, "sieve"}};
    const char *taker = "another command";
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
        if (option->commands & takers[i].bit) {
            taker = takers[i].name;
            break;
        }
    return ortho_fail(ORTHO_E_ARGUMENT, "--%s is an option of `%s`, not of `%s`", option->name,
                      taker, command->name);
}

static ortho_status unknown_long(const ob_command *command, const char *typed)
{
    char name[80];
    size_t length = strcspn(typed, "=");
    snprintf(name, sizeof name, "%.*s", (int)(length < 79 ? length : 79), typed);
    const ob_option *known = ob_option_find(name);
    if (known != NULL && !(known->commands & command->bit))
        return elsewhere(command, known);
    const char *names[NAMES_MAX], *first = NULL, *second = NULL;
    size_t n = names_of(command->bit, names);
    for (size_t i = 0; i < n && name[0] != '\0'; i++)
        if (strncmp(names[i], name, strlen(name)) == 0) {
            second = first != NULL && second == NULL ? names[i] : second;
            first = first == NULL ? names[i] : first;
        }
    if (second != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "--%s is ambiguous: --%s or --%s?", name, first,
                          second);
    const char *near = ob_suggest(name, names, n);
    if (near != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "unknown option --%s: did you mean --%s?", name, near);
    return ortho_fail(ORTHO_E_ARGUMENT, "unknown option --%s", name);
}

static ortho_status bad_flag(const ob_command *command, int code, char **argv)
{
    const char *typed = argv[optind - 1];
    const ob_option *option = option_of(optopt);
    if (code == ':' && option != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "--%s needs a value: %s", option->name,
                          option->argument);
    if (optopt >= FIRST_LONG && option != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "--%s takes no value", option->name);
    if (strncmp(typed, "--", 2) == 0 && (optopt == 'h' || optopt == 'V'))
        return ortho_fail(ORTHO_E_ARGUMENT, "%.*s takes no value", (int)strcspn(typed, "="), typed);
    if (strncmp(typed, "--", 2) == 0 && optopt == 0)
        return unknown_long(command, typed + 2);
    if (!isprint(optopt))
        return ortho_fail(ORTHO_E_ARGUMENT, "unknown option -\\x%02x", (unsigned)optopt & 0xff);
    return ortho_fail(ORTHO_E_ARGUMENT, "unknown option -%c", optopt);
}

static ortho_status collect_flags(const ob_command *command, int argc, char **argv, flags *out)
{
    struct option longs[NAMES_MAX];
    char shorts[NAMES_MAX];
    build_getopt(command, longs, shorts);
    opterr = 0;
    optind = 0; /* glibc: start anew */
    for (int code; (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (code == 'h' || code == 'V') {
            out->asked = code == 'h' ? OB_ASKED_HELP : OB_ASKED_VERSION;
            return ORTHO_OK;
        }
        if (code == '?' || code == ':')
            return bad_flag(command, code, argv);
        const ob_option *option = option_of(code);
        if (optarg != NULL && optarg == argv[optind - 1] && strncmp(optarg, "--", 2) == 0)
            return ortho_fail(ORTHO_E_ARGUMENT, "--%s needs a value: %s ('%s' is an option)",
                              option->name, option->argument, optarg);
        out->item[out->count++] = (flag){option, optarg};
    }
    out->operands = argv + optind;
    out->operand_count = argc - optind;
    return ORTHO_OK;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* Checks a value that doesn't count for this command: a wrong one is an error all the same. */
static ortho_status check_only(const ob_option *option, const char *text)
{
    ob_options aside;
    ob_options_default(&aside);
    ortho_status status = ob_value_set(option, text, false, &aside);
    ob_options_clear(&aside);
    return status;
}

ortho_status ob_loading_set(ob_loading *loading, const ob_option *option, const char *text,
                            const char *where)
{
    bool *given = &loading->given[option - ob_option_table];
    bool counts = loading->from_flags || option->layers_for == 0 ||
                  (option->layers_for & loading->command->bit);
    ortho_status status =
        counts ? ob_value_set(option, text, *given, loading->out) : check_only(option, text);
    if (status != ORTHO_OK)
        return ortho_fail_prefix(status, "%s", where);
    *given = true;
    if (option->from == OB_WORDS_VARIANTS)
        snprintf(loading->variants_from, sizeof loading->variants_from, "%s", where);
    return ORTHO_OK;
}

static ortho_status unknown_variable(const char *name)
{
    char text[NAMES_MAX][64];
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < ob_option_count && n < NAMES_MAX; i++)
        if (!ob_option_table[i].flag_only) {
            ob_option_variable(&ob_option_table[i], text[n]);
            names[n] = text[n];
            n++;
        }
    if (n < NAMES_MAX)
        names[n++] = OB_STATE_VARIABLE;
    const char *near = ob_suggest(name, names, n);
    if (near != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "environment: %s names no option: did you mean %s?",
                          name, near);
    return ortho_fail(ORTHO_E_ARGUMENT, "environment: %s names no option", name);
}

static const ob_option *option_of_variable(const char *name)
{
    for (size_t i = 0; i < ob_option_count; i++) {
        char variable[64];
        ob_option_variable(&ob_option_table[i], variable);
        if (!ob_option_table[i].flag_only && strcmp(variable, name) == 0)
            return &ob_option_table[i];
    }
    return NULL;
}

static ortho_status read_environment(ob_loading *loading)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, PREFIX, strlen(PREFIX)) != 0 || equals == NULL)
            continue;
        char name[80];
        snprintf(name, sizeof name, "%.*s", (int)(equals - *entry < 79 ? equals - *entry : 79),
                 *entry);
        const ob_option *option = option_of_variable(name);
        if (option == NULL && strcmp(name, OB_STATE_VARIABLE) == 0)
            continue;
        if (option == NULL)
            return unknown_variable(name);
        ortho_status status = ob_loading_set(loading, option, equals + 1, name);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

static ortho_status apply_flags(ob_loading *loading, const flags *given)
{
    for (int i = 0; i < given->count; i++) {
        const ob_option *option = given->item[i].option;
        const char *text = given->item[i].text;
        char where[80];
        snprintf(where, sizeof where, "--%s", option->name);
        ortho_status status = ob_loading_set(loading, option, text ? text : "true", where);
        if (status != ORTHO_OK)
            return status;
    }
    loading->out->operands = given->operands;
    loading->out->operand_count = given->operand_count;
    return ORTHO_OK;
}

/* --config, else its variable, else NULL: the user's own file. */
static const char *config_path(const flags *given)
{
    const char *path = getenv(PREFIX "CONFIG");
    for (int i = 0; i < given->count; i++)
        if (given->item[i].option->offset == offsetof(ob_options, config))
            path = given->item[i].text;
    return path;
}

/* Variant names, once every plug-in that could bring one is known. */
static ortho_status check_variants(const ob_loading *loading)
{
    const ob_words *asked = &loading->out->variants;
    if (loading->out->plugins.count > 0)
        return ORTHO_OK;
    const char *words[NAMES_MAX];
    size_t n = ob_option_words(ob_option_find("variant"), words, NAMES_MAX);
    for (int i = 0; i < asked->count; i++) {
        size_t j = 0;
        while (j < n && strcmp(words[j], asked->item[i]) != 0)
            j++;
        if (j < n)
            continue;
        const char *near = ob_suggest(asked->item[i], words, n);
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: no variant '%s'%s%s%s", loading->variants_from,
                          asked->item[i], near ? ": did you mean '" : "; `ortho-bench list` has ",
                          near ? near : "them all", near ? "'?" : "");
    }
    return ORTHO_OK;
}

/* Forms without a pass: an error where a flag asks for them; in a config file or the environment
 * they are meant for passes. */
static ortho_status check_form(const ob_loading *loading)
{
    ob_options *o = loading->out;
    bool asked = loading->given[ob_option_find("form") - ob_option_table];
    if (o->pass != OB_PASS_NONE || o->forms == OB_FORM_SINGLE)
        return ORTHO_OK;
    if (!asked) {
        o->forms = OB_FORM_SINGLE;
        return ORTHO_OK;
    }
    return ortho_fail(ORTHO_E_ARGUMENT, "--form: only a pass has forms: add --pass decode, or "
                                        "leave --form out");
}

static ortho_status check_operands(const ob_command *command, const ob_options *options)
{
    if (options->operand_count < command->operands_min)
        return ortho_fail(ORTHO_E_ARGUMENT, "`%s` needs %s", command->name, command->operands);
    if (options->operand_count <= command->operands_max)
        return ORTHO_OK;
    const char *extra = options->operands[command->operands_max];
    if (command->operands == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "`%s` takes no operand, but there is '%s'",
                          command->name, extra);
    return ortho_fail(ORTHO_E_ARGUMENT, "`%s` takes %s, but there is also '%s'", command->name,
                      command->operands, extra);
}

static ortho_status load_layers(ob_loading *loading, const flags *given)
{
    size_t bytes = ob_option_count * sizeof *loading->given;
    ortho_status status = ob_config_read(loading, config_path(given));
    memset(loading->given, 0, bytes);
    if (status == ORTHO_OK)
        status = read_environment(loading);
    memset(loading->given, 0, bytes);
    loading->from_flags = true;
    if (status == ORTHO_OK)
        status = apply_flags(loading, given);
    if (status == ORTHO_OK)
        status = ob_case_key_apply(loading);
    if (status == ORTHO_OK)
        status = check_form(loading);
    if (status == ORTHO_OK)
        status = check_variants(loading);
    if (status == ORTHO_OK)
        status = check_operands(loading->command, loading->out);
    return status;
}

ortho_status ob_options_load(const ob_command *command, int argc, char **argv, ob_options *out,
                             ob_asked *asked)
{
    ob_options options;
    ob_options_default(&options);
    flags given = {.item = calloc((size_t)argc + 1, sizeof(flag))};
    ob_loading loading = {
        .command = command, .out = &options, .given = calloc(ob_option_count, sizeof(bool))};
    ortho_status status = ORTHO_E_MEMORY;
    if (given.item == NULL || loading.given == NULL) {
        ortho_fail(status, "no memory for options");
        goto done;
    }
    status = collect_flags(command, argc, argv, &given);
    if (status == ORTHO_OK && given.asked == OB_ASKED_NOTHING)
        status = load_layers(&loading, &given);
    if (status != ORTHO_OK) {
        ob_options_clear(&options);
        goto done;
    }
    *out = options;
    *asked = given.asked;
done:
    free(loading.given);
    free(given.item);
    return status;
}
