// What nearly every test says.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h" // has a fail() of its own: cmocka's macro comes behind it

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static inline void must(bool ok)
{
    if (!ok) fail_msg("%s", status_message());
}

// It fails with that code, and its message is one line that has the words.
static inline void must_fail(bool ok, enum status code, const char *words)
{
    if (ok) fail_msg("went well, wanted a message with: %s", words);
    if (!strstr(status_message(), words)) fail_msg("got: %s; wanted: %s", status_message(), words);
    assert_null(strchr(status_message(), '\n'));
    assert_int_equal(status_code(), code);
    status_clear();
}
