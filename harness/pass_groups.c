#include "harness/pass_groups.h"

#include <string.h>

enum { ROLES_MAX = 3 };

/* Roles that share x, in the order of a layer: the one place that knows. */
static const char *const shares_x[][ROLES_MAX] = {{"q", "k", "v"}, {"gate", "up"}};

/* Where a role stands in a set; -1: not in it. */
static int place_in(const char *const set[ROLES_MAX], const char *role)
{
    for (int i = 0; i < ROLES_MAX && set[i] != NULL; i++)
        if (strcmp(set[i], role) == 0)
            return i;
    return -1;
}

/* Whether b follows a in one set: never two of one role, as experts of a layer would have. */
static bool shares(const ortho_slice *a, const ortho_slice *b)
{
    if (a->layer != b->layer || a->k != b->k)
        return false;
    for (size_t s = 0; s < sizeof shares_x / sizeof *shares_x; s++) {
        int before = place_in(shares_x[s], a->proj), after = place_in(shares_x[s], b->proj);
        if (before >= 0 && after > before)
            return true;
    }
    return false;
}

int ob_pass_groups(const ortho_slice *const *linears, int count, ob_linears *out)
{
    _Static_assert(ROLES_MAX <= ORTHO_GROUP_MAX, "a group fits into one run_group");
    int groups = 0;
    for (int i = 0; i < count; i++)
        if (i > 0 && shares(linears[i - 1], linears[i]))
            out[groups - 1].count++;
        else
            out[groups++] = (ob_linears){.first = i, .count = 1};
    return groups;
}

void ob_pass_links(const ortho_slice *const *linears, const ob_linears *groups, int group_count,
                   int64_t *out)
{
    int64_t begin = 0, end = 0; /* outputs of the group before */
    for (int g = 0; g < group_count; g++) {
        int64_t outputs = 0, k = linears[groups[g].first]->k;
        for (int i = groups[g].first; i < groups[g].first + groups[g].count; i++) {
            out[i] = k <= end - begin ? end - k : -1;
            outputs += linears[i]->n;
        }
        begin = end;
        end += outputs;
    }
}
