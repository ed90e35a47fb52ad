// A safetensors file in a folder whose config.json is good.
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/safetensors.h"
#include "ref_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *folder = fuzz_folder();
    char path[600];
    struct weights weights;
    struct bytes note;
    hf_put(folder, "model.safetensors", (const char *)data, size);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (weights_open(&weights, path)) {
        weights_hash(&weights);
        weights_note(&weights, "oedit.run", &note);
        for (uint32_t i = 0; i < weights.config.layers; i++) {
            const struct tensor *q = weights_part(&weights, PART_Q, i);
            uint8_t *pairs = malloc(q->bytes);
            if (pairs) tensor_pairs(q, pairs);
            free(pairs);
        }
        weights_close(&weights);
    }
    status_clear();
    return 0;
}
