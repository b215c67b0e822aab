#ifndef STUB_CG
#define STUB_CG
#include "harness/counters.h"
#include <stdbool.h>
struct json_t;
typedef struct ob_counter_set ob_counter_set;
ortho_status ob_counter_set_open(const char *wanted, ob_counter_set **out);
void ob_counter_set_close(ob_counter_set *set);
const char *const *ob_counter_set_metrics(const ob_counter_set *set);
int ob_counter_set_count(const ob_counter_set *set);
struct json_t *ob_counter_set_evaluate(const ob_counter_set *set, const ob_counter_value *values);
bool ob_counters_want_instructions(const char *wanted);
#endif
