#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct {
    enum status code;
    char message[1024];
} last;

bool fail(enum status code, const char *format, ...)
{
    if (last.code != STATUS_OK) return false;
    va_list args;
    va_start(args, format);
    vsnprintf(last.message, sizeof last.message, format, args);
    va_end(args);
    last.code = code;
    return false;
}

const char *status_message(void)
{
    return last.message;
}

enum status status_code(void)
{
    return last.code;
}

void status_clear(void)
{
    last.code = STATUS_OK;
    last.message[0] = '\0';
}
