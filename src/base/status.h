// Failure as one sentence and one exit code, written once by the frame that knows most.
#pragma once
#include <stdbool.h>

// Exit codes of the command; they are a contract with scripts.
enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_NO_DEVICE = 3,
    STATUS_NO_MEMORY = 4,
    STATUS_BAD_DATA = 5,
    STATUS_INTERRUPTED = 130, // by Ctrl-C or SIGTERM
};

// Records the failure of this thread and returns false, so that callers write `return fail(...)`
// or `ok = fail(...)`. The sentence says what, where, got, wanted. The first failure is kept:
// clean-up that fails later cannot hide the cause.
bool fail(enum status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The recorded sentence ("" if none), its code, and a fresh start.
const char *status_message(void);
enum status status_code(void);
void status_clear(void);
