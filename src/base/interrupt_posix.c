#define _POSIX_C_SOURCE 200809L
#include "base/interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"

static volatile sig_atomic_t noted; // the signal's number

// Only what is safe in a handler: write() and a flag.
static void note(int number)
{
    static const char said[] = "\nstopping after this step; once more to stop at once\n";
    noted = number;
    ssize_t written = write(STDERR_FILENO, said, sizeof said - 1);
    (void)written; // nobody is left to tell
}

static void note_quietly(int number)
{
    noted = number;
}

static void watch(void (*handler)(int), unsigned flags)
{
    struct sigaction action = {.sa_handler = handler};
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction before;
        // A terminal that is closed sends several SIGHUP: its own, the shell's.
        action.sa_flags = (int)(numbers[i] == SIGHUP ? flags & ~(unsigned)SA_RESETHAND : flags);
        // Who started us to ignore it, as shells do in the background, means it.
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

void interrupt_watch(void)
{
    // SA_RESETHAND: the second signal meets the default action. SA_RESTART: no call fails by it.
    watch(note, SA_RESETHAND | SA_RESTART);
}

void interrupt_wait(void)
{
    noted = 0;
    watch(note_quietly, 0);
}

bool interrupt_by_person(void)
{
    bool came = noted == SIGINT;
    if (!came) return false;
    noted = 0;
    interrupt_watch();
    return true;
}

bool interrupt_check(void)
{
    if (!noted) return true;
    return fail(STATUS_INTERRUPTED, "stopped by %s",
                noted == SIGINT    ? "Ctrl-C"
                : noted == SIGTERM ? "SIGTERM"
                                   : "the end of its terminal");
}
