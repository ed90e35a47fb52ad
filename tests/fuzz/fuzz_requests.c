// Edit requests in any of the forms that are known.
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dataset dataset = {0};
    // The file's size chooses what is asked of it.
    struct dataset_options options = {.zsre_target = size & 1 ? ZSRE_ALT : ZSRE_ANSWERS,
                                      .skip = size & 2 ? 1 : 0, .limit = size & 4 ? 1 : 0};
    if (dataset_open(&dataset, fuzz_file(data, size), options)) {
        for (size_t i = 0; i < dataset.count; i++) {
            const struct request *r = &dataset.requests[i];
            size_t prompt = strlen(r->prompt), subject = strlen(r->subject);
            if (subject == 0 || r->subject_at > prompt || subject > prompt - r->subject_at ||
                memcmp(r->prompt + r->subject_at, r->subject, subject) != 0)
                abort(); // what all that edits relies on
            if (!request_same(r, r)) abort();
        }
        dataset_free(&dataset);
    }
    status_clear();
    return 0;
}
