#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"

static _Thread_local bool ended; // cJSON's memory, since the last text

static void *memory_new(size_t size)
{
    void *memory = malloc(size);
    if (memory) return memory;
    ended = true;
    fail(STATUS_NO_MEMORY, "out of host memory for JSON: wanted %zu bytes", size);
    return NULL;
}

static void memory_free(void *memory)
{
    free(memory);
}

void json_watch(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = memory_new, .free_fn = memory_free});
}

char *json_text(const cJSON *root, bool pretty, const char *what)
{
    char *text = ended ? NULL : pretty ? cJSON_Print(root) : cJSON_PrintUnformatted(root);
    ended = false;
    if (!text) fail(STATUS_NO_MEMORY, "out of host memory for %s", what);
    return text;
}

bool json_put(const cJSON *root, bool pretty)
{
    char *text = json_text(root, pretty, "the report");
    if (text) puts(text);
    cJSON_free(text);
    return text != NULL;
}
