/*
 * session_observe.h: a child's session observes instead of timing (observe.h). What it needs from
 * the session is here; what it finds goes into the lanes' rows.
 */
#ifndef ORTHO_HARNESS_SESSION_OBSERVE_H
#define ORTHO_HARNESS_SESSION_OBSERVE_H

#include "harness/session_internal.h"

/* Before the process has a context or makes its first launch. */
ortho_status ob_observation_prepare(const ob_options *options);
/* Once there is a context. UNSUPPORTED with words where nothing can be observed here. */
ortho_status ob_observation_open(const ob_options *options, ob_observation **out);
void ob_observation_close(ob_observation *observation); /* NULL is allowed */
/* What context.cupti says; the caller owns the reference. */
struct json_t *ob_observation_about(const ob_observation *observation);
/* The host begins a phase of a case: the timeline's. */
void ob_observation_phase(const ob_session *s, const char *key, const char *phase);
/* Writes the timeline, where one is kept and asked for. */
ortho_status ob_observation_save(const ob_session *s);

/* Around the preparation of a lane: what it allocated at most, as CUPTI saw it; 0 where nobody
 * looked. */
void ob_observation_mark(const ob_session *s);
size_t ob_observation_peak(const ob_session *s);

/* Observes the lanes that are in. */
void ob_group_observe(ob_session *s, ob_lane *lanes, int count);

#endif
