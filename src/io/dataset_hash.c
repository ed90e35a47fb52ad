#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "io/dataset.h"

static uint64_t text(uint64_t sum, const char *words)
{
    return words ? XXH3_64bits_withSeed(words, strlen(words) + 1, sum)
                 : XXH3_64bits_withSeed("", 0, sum);
}

static uint64_t list(uint64_t sum, const struct text_list *texts)
{
    const uint64_t count = texts->count;
    sum = XXH3_64bits_withSeed(&count, sizeof count, sum);
    for (size_t i = 0; i < texts->count; i++) sum = text(sum, texts->items[i]);
    return sum;
}

uint64_t dataset_hash(const struct dataset *dataset)
{
    uint64_t sum = dataset->count;
    for (size_t i = 0; i < dataset->count; i++) {
        const struct request *r = &dataset->requests[i];
        const char *texts[] = {r->prompt, r->subject, r->target_new, r->target_true};
        sum = XXH3_64bits_withSeed(&r->id, sizeof r->id, sum);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) sum = text(sum, texts[k]);
        sum = list(sum, &r->rephrases);
        sum = list(sum, &r->localities);
        sum = list(sum, &r->locality_truths);
        sum = list(sum, &r->generations);
    }
    return sum;
}
