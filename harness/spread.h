/*
 * spread.h: how far processes of one machine are apart, which a run of one process can't know. A
 * run of three and more processes finds it out and keeps it in the state folder, so that a later
 * comparison of single processes can widen its intervals by it.
 */
#ifndef ORTHO_HARNESS_SPREAD_H
#define ORTHO_HARNESS_SPREAD_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stddef.h>

struct json_t;

/* A shorter time is ruled by the timer and by launching. */
#define OB_SPREAD_LEAST_NS 5000.0
/* Of fewer cases nothing is kept: one odd case would speak for the machine. */
#define OB_SPREAD_CASES 3

/* The machine's spread between processes: for each case that stands, took OB_SPREAD_LEAST_NS and
 * was timed in three processes or more, the sample standard deviation of the logarithm of its
 * processes' medians (0.03: 3 %); of these the 75th percentile. *cases gets their number; NAN for
 * none. */
double ob_spread_of(const struct json_t *document, size_t *cases);

/* Keeps the document's spread for its machine, in the place of an older one; of fewer than
 * OB_SPREAD_CASES cases nothing. `told` gets a line for the user, "" where there is nothing to
 * tell. */
ortho_status ob_spread_keep(const struct json_t *document, char told[256]);

/* Of a document's variants, {"op/variant/backend": share}: the largest deviation of a case, by the
 * rules of ob_spread_of. A quartile over all of them hides one that moves while the others keep
 * still. The caller owns the reference; NULL without memory. */
struct json_t *ob_spread_variants_of(const struct json_t *document);

/* Those that are kept of a device; NULL where none are. The caller owns the reference. */
struct json_t *ob_spread_variants(const char *device);

/* The spread that is kept of a device, and in words where it comes from ("14 cases in 5 processes,
 * 2026-11-26"). False when none is, or when the file can't be made out. */
bool ob_spread_known(const char *device, double *share, char from[128]);

#endif
