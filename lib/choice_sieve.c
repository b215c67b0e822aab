/*
 * Who sieves, which isn't a question of who serves. All sieves of a backend make the same canonical
 * split, and the packed form of a variant is prepare()'s: fused deals rows to multiprocessors by
 * the entries that they got, which nobody knows before the selection is over. So the fastest sieve
 * serves them all. H100, gate, 1 %, outlier (reports/results/h100/sieve-outlier.json): warp-per-row
 * 255 us, block-csr 481, csr 688; the same order for every linear and for residual.
 */
#include "common/error.h"
#include "lib/choice.h"
#include "variants/table.h"

#define PREFERENCES 3

static const char *const sievers[PREFERENCES] = {"warp-per-row", "block-csr", "csr"};

ortho_status ortho_choose_sieve(ortho_backend backend, const ortho_variant **out)
{
    for (int i = 0; i < PREFERENCES; i++) {
        const ortho_variant *v = ortho_variant_find(sievers[i], backend);
        if (v != NULL && v->sieve != NULL) {
            *out = v;
            return ORTHO_OK;
        }
    }
    return ortho_fail(ORTHO_E_UNSUPPORTED, "no variant of this build sieves on the %s",
                      ortho_backend_name(backend));
}
