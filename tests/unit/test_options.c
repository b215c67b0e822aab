/* Options from the command line: every type of value, every way of getting one wrong, and the echo.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/options_suggest.h"
#include "harness/options_value.h"
#include "tests/unit/options_lines.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ob_command inspect = {.name = "inspect",
                                   .bit = OB_FOR_INSPECT,
                                   .operands = "MODEL|FILE",
                                   .operands_min = 1,
                                   .operands_max = 1};

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    ob_options o;
    load("", &o);
    assert_true(o.do_sieve && o.do_gemm);
    assert_int_equal(o.variants.count, 0);
    assert_int_equal(o.backend, OB_BACKEND_AUTO);
    assert_null(o.model);
    assert_int_equal(o.layers.count, 0);
    assert_int_equal(o.batches.count, 1);
    assert_true(o.batches.item[0] == 1);
    assert_true(o.densities.item[0] == 0.01);
    assert_int_equal(o.rule, ORTHO_RULE_OUTLIER);
    assert_int_equal(o.group, 128);
    assert_int_equal(o.dtype, OB_DTYPE_AUTO);
    assert_true(o.alpha == 1);
    assert_string_equal(o.ortho_rows, "sieve");
    assert_int_equal(o.seed, 1);
    assert_int_equal(o.processes, 1);
    assert_true(o.case_timeout == 5 && o.min_time == 0.2 && o.ci_target == 0.02);
    assert_null(o.format); /* the table, or report's page */
    assert_int_equal(o.plot, OB_PLOT_NOWHERE);
    assert_int_equal(o.color, OB_COLOR_AUTO);
    assert_false(o.quiet || o.verbose || o.dry_run || o.verify_only);
    ob_options_clear(&o);
}

/* A default that doesn't parse would silently leave its field at zero. */
static void every_default_and_example_parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ob_option_count; i++) {
        const ob_option *option = &ob_option_table[i];
        ob_options o;
        ob_options_default(&o);
        if (option->fallback != NULL && ob_value_set(option, option->fallback, false, &o))
            fail_msg("%s: %s", option->name, ortho_last_message());
        ob_options_clear(&o);
        assert_true(strlen(option->help) > 10);
        assert_true(option->argument != NULL || option->type == OB_VALUE_FLAG);
        if (option->example != NULL && (option->commands & OB_FOR_RUN)) {
            if (strstr(option->example, ".ini") != NULL || strstr(option->example, "csv") != NULL)
                continue; /* a file that isn't here; a writer that this build may lack */
            load(option->example, &o);
            ob_options_clear(&o);
        }
    }
}

static void words_and_lists(void **state)
{
    (void)state;
    ob_options o;
    load("--op gemm --variant csr,coo --backend cpu --model a/b --proj q,k --rule legacy "
         "--group row --dtype bf16 --l2 warm --engine gbench --plot tty --color never",
         &o);
    assert_true(!o.do_sieve && o.do_gemm);
    assert_int_equal(o.variants.count, 2);
    assert_string_equal(o.variants.item[1], "coo");
    assert_int_equal(o.backend, OB_BACKEND_CPU);
    assert_string_equal(o.model, "a/b");
    assert_int_equal(o.projections.count, 2);
    assert_string_equal(o.projections.item[1], "k");
    assert_int_equal(o.rule, ORTHO_RULE_LEGACY);
    assert_int_equal(o.group, 0);
    assert_int_equal(o.dtype, ORTHO_BF16);
    assert_int_equal(o.l2, OB_L2_WARM);
    assert_int_equal(o.engine, OB_ENGINE_GBENCH);
    assert_int_equal(o.plot, OB_PLOT_TTY);
    assert_int_equal(o.color, OB_COLOR_NEVER);
    ob_options_clear(&o);
    load("--op=sieve,gemm --variant all --proj all --plot=tty", &o);
    assert_true(o.do_sieve && o.do_gemm && o.variants.count == 0 && o.projections.count == 0);
    ob_options_clear(&o);
    refuse("--op sieve,sieve", "twice");
    refuse("--op ,", "unknown");
    refuse("--variant csr,", "empty item");
    refuse("--variant csr,csr", "twice");
    refuse("--variant csr,all", "stands alone");
    refuse("--variant cs", "--variant: no variant 'cs': did you mean 'csr'?");
    refuse("--proj qq", "--proj: 'qq' is unknown: did you mean 'q'?");
    refuse("--rule outliers", "did you mean 'outlier'?");
    refuse("--group 100", "known: 32, 64, 128, row");
    refuse("--l2 pass", "--l2: 'pass' is unknown");
    refuse("--format tabel", "did you mean 'table'?");
    refuse("--model=", "--model: an empty value");
}

/* The plug-in may bring the name. */
static void variants_of_plugins_are_not_judged(void **state)
{
    (void)state;
    ob_options o;
    load("--variant mine --plugin a.so --plugin b.so,c.so", &o);
    assert_int_equal(o.plugins.count, 3);
    assert_string_equal(o.plugins.item[2], "c.so");
    assert_string_equal(o.variants.item[0], "mine");
    ob_options_clear(&o);
    load("--variant csr --variant coo", &o); /* only plug-ins add up */
    assert_int_equal(o.variants.count, 1);
    assert_string_equal(o.variants.item[0], "coo");
    ob_options_clear(&o);
}

static void ranges_and_whole_numbers(void **state)
{
    (void)state;
    ob_options o;
    load("--layers 0-3,7 --batch 1,16,2048 --threads 3 --seed 9223372036854775807", &o);
    assert_int_equal(o.layers.count, 5);
    assert_true(o.layers.item[3] == 3 && o.layers.item[4] == 7);
    assert_true(o.batches.item[2] == 2048);
    assert_int_equal(o.threads, 3);
    assert_true(o.seed == INT64_MAX);
    ob_options_clear(&o);
    refuse("--layers 3-1", "backwards");
    refuse("--layers 0-", "has no end");
    refuse("--layers -1", "negative");
    refuse("--layers 0-3,2", "2 is in the list twice");
    refuse("--layers 0-64", "more than 64");
    refuse("--layers 1-2-3", "not a whole number");
    refuse("--layers 10000", "out of range (0 to 9999)");
    refuse("--layers 0,,1", "empty item");
    refuse("--layers 18446744073709551616", "out of range");
    refuse("--batch 0", "out of range (1 to 1048576)");
    refuse("--batch 1-3", "not a whole number");
    refuse("--batch 1.5", "not a whole number");
    refuse("--batch 1e3", "not a whole number");
    refuse("--batch 0x10", "not a whole number");
    refuse("--batch=", "empty item");
    refuse("--threads +1", "not a whole number");
    refuse("--threads 4097", "out of range");
    refuse("--seed 9223372036854775808", "out of range");
    refuse("--seed 18446744073709551616", "out of range");
    refuse("--seed -1", "negative");
    refuse("--seed=", "not a whole number");
}

static void numbers(void **state)
{
    (void)state;
    ob_options o;
    load("--density 0.005,0,1 --alpha -0.5 --case-timeout 1e2", &o);
    assert_int_equal(o.densities.count, 3);
    assert_true(o.densities.item[0] == 0.005 && o.densities.item[2] == 1);
    assert_true(o.alpha == -0.5 && o.case_timeout == 100);
    ob_options_clear(&o);
    load("--alpha -0", &o);
    assert_false(signbit(o.alpha)); /* else two keys for one case */
    ob_options_clear(&o);
    static const char *const junk[] = {"nan",  "NaN",  "inf",  "-inf", "0x1p-3", "0,5x",
                                       "0.5 ", "1e",   "e5",   ".",    "--1",    "1.2.3",
                                       "1_0",  "+0.5", "0.5f", "-",    ""};
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
        double value = 7;
        assert_int_equal(ob_parse_number(junk[i], -1e9, 1e9, &value), ORTHO_E_ARGUMENT);
        assert_true(value == 7);
    }
    refuse("--density 1.0001", "out of range (0 to 1)");
    refuse("--density -0.1", "out of range");
    refuse("--density 0.1,0.10", "0.1 is in the list twice");
    refuse("--alpha 1e999", "out of range");
    refuse("--alpha 1e-400", "out of range");
    refuse("--ci-target 0", "out of range");
    refuse("--case-timeout 0", "out of range");
    refuse("--processes 0", "out of range");
    refuse("--processes 65", "out of range");
    refuse("--processes 1.5", "--processes");
    refuse("--min-time nan", "--min-time: 'nan' is not a number");
}

static void flags_that_are_wrong(void **state)
{
    (void)state;
    refuse("--varaint csr", "unknown option --varaint: did you mean --variant?");
    refuse("--pass prefill", "--pass: 'prefill' is unknown");
    refuse("--pl tty", "--pl is ambiguous: --plugin or --plot?");
    refuse("--=x", "unknown option --");
    refuse("--model", "--model needs a value: NAME|PATH");
    refuse("--model --dry-run", "'--dry-run' is an option");
    refuse("-o", "--out needs a value");
    refuse("--dry-run=yes", "--dry-run takes no value");
    refuse("--help=x", "--help takes no value");
    refuse("-x", "unknown option -x");
    refuse("-\x01", "unknown option -\\x01");
    refuse("--json", "--json is an option of `inspect`, not of `run`");
    refuse("extra", "takes no operand, but there is 'extra'");
    refuse_for(&inspect, "", "`inspect` needs MODEL|FILE");
    refuse_for(&inspect, "a b", "there is also 'b'");
    refuse_for(&inspect, "--batch 1 a", "--batch is an option of `run`, not of `inspect`");
}

static void operands_and_short_forms(void **state)
{
    (void)state;
    ob_options o;
    assert_int_equal(load_for(&inspect, "a.gguf --json -q", &o), ORTHO_OK);
    assert_true(o.json && o.quiet);
    assert_int_equal(o.operand_count, 1);
    assert_string_equal(o.operands[0], "a.gguf");
    ob_options_clear(&o);
    assert_int_equal(load_for(&inspect, "-v -- --json", &o), ORTHO_OK);
    assert_true(o.verbose && !o.json);
    assert_string_equal(o.operands[0], "--json");
    ob_options_clear(&o);
    load("-o - --report d", &o);
    assert_string_equal(o.out, "-");
    assert_string_equal(o.report, "d");
    ob_options_clear(&o);
}

static void a_key_holds_its_options(void **state)
{
    (void)state;
    ob_options o;
    load("--case gemm/block-csr/cpu/L3.gate/m16/d0.05/legacy/grow/bf16/warm/a0.5/one-full "
         "--batch 1,2 --alpha 3",
         &o);
    assert_true(o.do_gemm && !o.do_sieve);
    assert_string_equal(o.variants.item[0], "block-csr");
    assert_int_equal(o.backend, OB_BACKEND_CPU);
    assert_true(o.layers.count == 1 && o.layers.item[0] == 3);
    assert_string_equal(o.projections.item[0], "gate");
    assert_true(o.batches.count == 1 && o.batches.item[0] == 16);
    assert_true(o.densities.item[0] == 0.05 && o.alpha == 0.5);
    assert_int_equal(o.rule, ORTHO_RULE_LEGACY);
    assert_int_equal(o.group, 0);
    assert_int_equal(o.dtype, ORTHO_BF16);
    assert_int_equal(o.l2, OB_L2_WARM);
    assert_string_equal(o.ortho_rows, "one-full");
    ob_options_clear(&o);
    load("--case sieve/csr/cpu/L0.q/d0.0123457/outlier/g128/cold --density 0.012345678,0.5", &o);
    assert_true(o.do_sieve && !o.do_gemm);
    assert_int_equal(o.densities.count, 2); /* the finer one prints as the key does */
    assert_true(o.densities.item[0] == 0.012345678);
    ob_options_clear(&o);
    load("--case pass/warp-per-row/cuda/decode/m1/d0.05/residual/g64/fp16/a0 --layers 0-3", &o);
    assert_int_equal(o.pass, OB_PASS_DECODE);
    assert_string_equal(o.variants.item[0], "warp-per-row");
    assert_int_equal(o.backend, OB_BACKEND_CUDA);
    assert_int_equal(o.layers.count, 4); /* which linears stands beside the key */
    assert_true(o.densities.item[0] == 0.05 && o.alpha == 0);
    assert_int_equal(o.rule, ORTHO_RULE_RESIDUAL);
    assert_int_equal(o.group, 64);
    assert_int_equal(o.dtype, ORTHO_F16);
    ob_options_clear(&o);
    assert_int_equal(o.activations, 1 << ORTHO_ACTIVATIONS_EXACT);
    load("--case gemm/fused/cpu/L0.q/m1/d0/outlier/g32/fp32/cold/int8/a0.5/uniform", &o);
    assert_int_equal(o.activations, 1 << ORTHO_ACTIVATIONS_INT8);
    assert_true(o.alpha == 0.5);
    assert_string_equal(o.ortho_rows, "uniform");
    ob_options_clear(&o);
    load("--activations all --case gemm/fused/cpu/L0.q/m1/d0/outlier/g32/fp32/cold", &o);
    assert_int_equal(o.activations, 1 << ORTHO_ACTIVATIONS_EXACT);
    ob_options_clear(&o);
    load("--ortho-rows uniform --case gemm/csr/cpu/L0.q/m1/d0/outlier/g32/fp32/cold", &o);
    assert_string_equal(o.ortho_rows, "sieve");
    ob_options_clear(&o);
    refuse("--case k", "--case: 'k' is not a key");
    refuse("--case gemm/csr/cpu/L0.q/x1/d0/outlier/g32/fp32/cold", "'x1' stands where 'm...'");
    refuse("--case gemm/cs/cpu/L0.q/m1/d0/outlier/g32/fp32/cold", "no variant 'cs'");
    refuse("--case gemm/csr/cpu/L0/m1/d0/outlier/g32/fp32/cold", "no layer and projection");
    refuse("--case sieve/csr/cpu/L0.q/d2/outlier/g32/cold", "--case: '2' is out of range");
    refuse("--case sieve/csr/cpu/L0.q/d0/outlier/g32/cold/a1", "is not a key");
    refuse("--case gemm/csr/cpu/L0.q/m1/d0/outlier/g32/fp32/cold/int8/a2/uniform/b",
           "is not a key");
    refuse("--case pass/csr/cpu/encode/m1/d0/outlier/g32/fp32", "'encode' is unknown");
    refuse("--case pass/csr/cpu/decode/m1/d0/outlier/g32", "is not a key");
    refuse("--case a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s", "is not a key");
}

static void imposed_rows(void **state)
{
    (void)state;
    ob_options o;
    load("--ortho-rows lognormal:0.5", &o);
    assert_string_equal(o.ortho_rows, "lognormal:0.5");
    ob_options_clear(&o);
    refuse("--ortho-rows unifrom", "did you mean 'uniform'?");
    refuse("--ortho-rows lognormal:", "not a number");
    refuse("--ortho-rows lognormal:5", "out of range (0 to 4)");
    refuse("--ortho-rows lognormal:nan", "not a number");
}

static void help_and_version_come_first(void **state)
{
    (void)state;
    char name[] = "run", batch[] = "--batch=zero", help[] = "--help", version[] = "-V";
    char *ask_help[] = {name, batch, help, NULL}, *ask_version[] = {name, version, NULL};
    ob_options o;
    ob_asked asked = OB_ASKED_NOTHING;
    assert_int_equal(ob_options_load(&run, 3, ask_help, &o, &asked), ORTHO_OK);
    assert_int_equal(asked, OB_ASKED_HELP);
    assert_int_equal(ob_options_load(&run, 2, ask_version, &o, &asked), ORTHO_OK);
    assert_int_equal(asked, OB_ASKED_VERSION);
}

static void echo_reads_back(void **state)
{
    (void)state;
    ob_options o, again;
    load("--op gemm --density 0.005,0.1 --layers 0-2,9 --alpha 0.1 --seed 9223372036854775807 "
         "--variant csr,coo --group row --dtype fp16 --dry-run --threads 2 --plugin x.so",
         &o);
    json_t *echo = ob_options_echo(&o);
    assert_string_equal(json_string_value(json_object_get(echo, "op")), "gemm");
    assert_string_equal(json_string_value(json_object_get(echo, "density")), "0.005,0.1");
    assert_string_equal(json_string_value(json_object_get(echo, "layers")), "0,1,2,9");
    assert_string_equal(json_string_value(json_object_get(echo, "alpha")), "0.1");
    assert_string_equal(json_string_value(json_object_get(echo, "group")), "row");
    assert_string_equal(json_string_value(json_object_get(echo, "proj")), "all");
    assert_string_equal(json_string_value(json_object_get(echo, "dry-run")), "true");
    assert_null(json_object_get(echo, "model")); /* absent is absent */
    assert_null(json_object_get(echo, "quiet"));
    char line[2048] = "";
    const char *key;
    json_t *value;
    json_object_foreach(echo, key, value)
    {
        size_t n = strlen(line);
        bool flag = ob_option_find(key)->type == OB_VALUE_FLAG;
        snprintf(line + n, sizeof line - n, flag ? "--%s " : "--%s=%s ", key,
                 json_string_value(value));
    }
    load(line, &again);
    json_t *second = ob_options_echo(&again);
    assert_true(json_equal(echo, second));
    json_decref(echo);
    json_decref(second);
    ob_options_clear(&o);
    ob_options_clear(&again);
}

static void counters_are_checked_and_kept(void **state)
{
    (void)state;
    ob_options o;
    load("", &o);
    assert_null(o.counters);
    assert_false(o.require_counters);
    load("--counters dram,some__metric.sum --require-counters", &o);
    assert_string_equal(o.counters, "dram,some__metric.sum");
    assert_true(o.require_counters);
    json_t *echo = ob_options_echo(&o);
    assert_string_equal(json_string_value(json_object_get(echo, "counters")), o.counters);
    json_decref(echo);
    ob_options_clear(&o);
    refuse("--counters divergance", "--counters: 'divergance' is neither a group nor a metric");
    refuse("--counters=", "an empty value");
}

static void sieve_takes_bytes_and_one_density(void **state)
{
    (void)state;
    static const ob_command sieve = {.name = "sieve", .bit = OB_FOR_SIEVE, .operands_max = 1};
    ob_options o;
    assert_int_equal(load_for(&sieve, "-o d --memory-budget 3G --density 2% --layers 1-2", &o), 0);
    assert_true(o.memory_budget == 3ull << 30 && o.sieve_density == 0.02);
    assert_string_equal(o.out, "d");
    assert_int_equal(o.layers.count, 2);
    assert_true(o.densities.count == 1 && o.densities.item[0] == 0.01); /* of a run */
    char *text = ob_value_text(ob_option_find("memory-budget"), &o);
    assert_string_equal(text, "3221225472");
    free(text);
    ob_options_clear(&o);
    assert_int_equal(load_for(&sieve, "--memory-budget 7K", &o), 0);
    assert_true(o.memory_budget == 7168);
    ob_options_clear(&o);
    assert_int_equal(load_for(&sieve, "--memory-budget 12345", &o), 0);
    assert_true(o.memory_budget == 12345);
    ob_options_clear(&o);
    refuse_for(&sieve, "--memory-budget 1.5G", "'1.5G' is not a number of bytes");
    refuse_for(&sieve, "--memory-budget G", "'G' is not a number of bytes");
    refuse_for(&sieve, "--memory-budget 0", "'0' is out of range");
    refuse_for(&sieve, "--memory-budget 9999999999999T", "out of range");
    refuse_for(&sieve, "--memory-budget 1000T", "out of range");
    refuse_for(&sieve, "--density 0.01,0.02", "is not a number");
    refuse_for(&run, "--resume", "--resume is an option of `sieve`");
}

/* ob_option_find, the config file and the environment all rely on this. */
static void options_of_one_name_share_no_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < ob_option_count; i++)
        for (size_t j = i + 1; j < ob_option_count; j++)
            if (strcmp(ob_option_table[i].name, ob_option_table[j].name) == 0) {
                assert_false(ob_option_table[i].commands & ob_option_table[j].commands);
                assert_true(ob_option_table[j].flag_only);
            }
}

static void suggestions(void **state)
{
    (void)state;
    static const char *const words[] = {"variant", "density", "batch", "q"};
    assert_string_equal(ob_suggest("varaint", words, 4), "variant");
    assert_string_equal(ob_suggest("dens", words, 4), "density");
    assert_string_equal(ob_suggest("bach", words, 4), "batch");
    assert_null(ob_suggest("counters", words, 4));
    assert_null(ob_suggest("", words, 4));
    char endless[500];
    memset(endless, 'q', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_null(ob_suggest(endless, words, 4));
}

int main(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1); /* the tester's own options stay out */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(every_default_and_example_parses),
        cmocka_unit_test(words_and_lists),
        cmocka_unit_test(variants_of_plugins_are_not_judged),
        cmocka_unit_test(ranges_and_whole_numbers),
        cmocka_unit_test(numbers),
        cmocka_unit_test(flags_that_are_wrong),
        cmocka_unit_test(operands_and_short_forms),
        cmocka_unit_test(a_key_holds_its_options),
        cmocka_unit_test(imposed_rows),
        cmocka_unit_test(help_and_version_come_first),
        cmocka_unit_test(echo_reads_back),
        cmocka_unit_test(counters_are_checked_and_kept),
        cmocka_unit_test(sieve_takes_bytes_and_one_density),
        cmocka_unit_test(options_of_one_name_share_no_command),
        cmocka_unit_test(suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
