#define _GNU_SOURCE
#include "harness/commands/interrupt.h"

#include "harness/session.h"

#include <signal.h>

static void on_signal(int number)
{
    (void)number;
    ob_session_interrupt();
}

void ob_interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
