#include "base/status.h"
#include "cli/commands.h"

bool command_task(const struct args *args)
{
    (void)args;
    return fail(STATUS_FAILED, "task");
}
