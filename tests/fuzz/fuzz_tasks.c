// Downstream tasks' files of any form, and numbers in texts.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/task_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const prompts[] = {NULL, "{question} {choices}", "{sentence", "{A}{}"};
    struct task_items items;
    double number = 0;
    // The file's size chooses what is asked of it.
    struct task_file_options options = {.skip = size & 4 ? 1 : 0, .limit = size & 8 ? 2 : 0,
                                        .prompt = prompts[size & 3]};
    if (task_items_open(&items, fuzz_file(data, size), options)) {
        for (size_t i = 0; i < items.count; i++) {
            const struct task_item *item = &items.items[i];
            // What asking relies on.
            if (!item->prompt || !item->wanted || !*item->wanted || !items.form) abort();
            if (item->choices && (item->choices > TASK_CHOICES_MAX || !item->right ||
                                  item->right >> item->choices))
                abort();
        }
        task_items_free(&items);
    }
    if (number_last((const char *)data, size, &number) && isnan(number)) abort();
    status_clear();
    return 0;
}
