#include "harness/counter_groups.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
struct ob_counter_set { char *text; const char *m[256]; int n; };
ortho_status ob_counter_set_open(const char *wanted, ob_counter_set **out)
{
    ob_counter_set *s = calloc(1, sizeof *s);
    s->text = strdup(wanted);
    for (char *p = strtok(s->text, ","); p != NULL; p = strtok(NULL, ","))
        if (strstr(p, "__") != NULL)
        s->m[s->n++] = p;
    *out = s;
    return ORTHO_OK;
}
void ob_counter_set_close(ob_counter_set *s) { if (s) { free(s->text); free(s); } }
const char *const *ob_counter_set_metrics(const ob_counter_set *s) { return s->m; }
int ob_counter_set_count(const ob_counter_set *s) { return s->n; }
struct json_t *ob_counter_set_evaluate(const ob_counter_set *s, const ob_counter_value *v)
{
    json_t *o = json_object();
    for (int i = 0; i < s->n; i++)
        json_object_set_new(o, s->m[i], v[i].reason ? json_pack("{s:s,s:i,s:s}", "status", "n/a", "code", v[i].code, "reason", v[i].reason) : json_pack("{s:f,s:s,s:i}", "value", v[i].value, "status", "ok", "code", 0));
    return o;
}
bool ob_counters_want_instructions(const char *wanted) { return strstr(wanted, "divergence") != NULL; }
