/* interrupt.h: Ctrl-C and SIGTERM of commands that run for long. */
#ifndef ORTHO_HARNESS_INTERRUPT_H
#define ORTHO_HARNESS_INTERRUPT_H

/* From now on the first signal makes ob_session_interrupted() true. Once only: a second one ends
 * the process at once, for whoever has no patience. */
void ob_interrupt_catch(void);

#endif
