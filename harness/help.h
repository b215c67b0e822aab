/* help.h: everything that is written from the option table and the commands' descriptors. */
#ifndef ORTHO_HARNESS_HELP_H
#define ORTHO_HARNESS_HELP_H

#include "harness/commands/command.h"
#include "harness/options_table.h"

#include <stdio.h>

#define OB_NAME "ortho-bench"
#define OB_ABOUT                                                                                   \
    "ortho-bench measures ways of splitting a Llama's linear layers into a dense INT4 Base and a " \
    "sparse Ortho (the sieve), and of multiplying by both at once (the dual GEMM). It takes real " \
    "weights, verifies every variant against an fp64 reference before and after timing, prices "   \
    "itself beside them, and prints no number for a result that was not verified."

typedef struct ob_exit_word {
    int code;
    const char *meaning;
} ob_exit_word;

extern const ob_exit_word ob_exit_words[];
extern const size_t ob_exit_word_count;

#define OB_HELP_WIDTH 80

/* Words of `text` from column `at` on, later lines indented to `indent`; ends the line. */
void ob_help_wrap(FILE *out, const char *text, int at, int indent);

void ob_help_overview(FILE *out);
void ob_help_command(const ob_command *command, FILE *out);
void ob_help_version(FILE *out);

/* The manual page in scdoc's language. */
void ob_help_man(FILE *out);

/* A completion script; false when there is none for this shell. */
bool ob_help_completion(const char *shell, FILE *out);

#endif
