// Edit requests in any of the forms that are known.
#include "base/status.h"
#include "fuzz.h"
#include "io/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dataset dataset = {0};
    struct dataset_options options = {.zsre_target = size & 1 ? ZSRE_ALT : ZSRE_ANSWERS};
    if (dataset_open(&dataset, fuzz_file(data, size), options)) dataset_free(&dataset);
    status_clear();
    return 0;
}
