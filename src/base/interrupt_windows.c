#include "base/interrupt.h"

#include <io.h>
#include <signal.h>

#include "base/status.h"

static volatile sig_atomic_t noted; // the signal's number

// Windows has put the default action back before it calls: the second signal meets that.
static void note(int number)
{
    static const char said[] = "\nstopping after this step; once more to stop at once\n";
    noted = number;
    (void)_write(2, said, sizeof said - 1); // nobody is left to tell
}

void interrupt_watch(void)
{
    signal(SIGINT, note);
    signal(SIGTERM, note);
}

static void note_quietly(int number)
{
    noted = number;
    signal(number, note_quietly);
}

void interrupt_wait(void)
{
    noted = 0;
    signal(SIGINT, note_quietly);
    signal(SIGTERM, note_quietly);
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
    return fail(STATUS_INTERRUPTED, "stopped by %s", noted == SIGINT ? "Ctrl-C" : "SIGTERM");
}
