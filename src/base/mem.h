// Memory of the host: zeroed, overflow-checked, and out of memory said in one sentence.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// count * size zeroed bytes; NULL with fail(STATUS_NO_MEMORY) naming `what`. A count of 0 gives a
// pointer that may be freed.
void *mem_new(size_t count, size_t size, const char *what);

// Grows *array (of *capacity elements) so that it holds `wanted` elements; the old ones stay.
bool mem_grow(void *array, size_t *capacity, size_t wanted, size_t size, const char *what);

char *mem_text(const char *text, size_t length, const char *what); // a terminated copy
