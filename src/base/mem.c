#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void *mem_new(size_t count, size_t size, const char *what)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory)
        fail(STATUS_NO_MEMORY, "out of host memory for %s: wanted %zu x %zu bytes", what, count,
             size);
    return memory;
}

bool mem_grow(void *array, size_t *capacity, size_t wanted, size_t size, const char *what)
{
    if (wanted <= *capacity) return true;
    size_t larger = *capacity + *capacity / 2 + 16;
    if (larger < wanted) larger = wanted;
    void *old = NULL;
    memcpy(&old, array, sizeof old);
    void *memory = larger > SIZE_MAX / size ? NULL : realloc(old, larger * size);
    if (!memory)
        return fail(STATUS_NO_MEMORY, "out of host memory for %s: wanted %zu x %zu bytes", what,
                    larger, size);
    memcpy(array, &memory, sizeof memory);
    *capacity = larger;
    return true;
}

char *mem_text(const char *text, size_t length, const char *what)
{
    char *copy = mem_new(length + 1, 1, what);
    if (copy && length) memcpy(copy, text, length);
    return copy;
}
