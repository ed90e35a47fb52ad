// A model file and the tokenizer inside it.
#include <stdlib.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/tokenizer.h"

static void use(const struct tokenizer *tokenizer)
{
    static const char text[] = "The cat  lives in 1234 \xc3\xa9\n<s>";
    struct token_list list = {0};
    char *back = NULL;
    size_t size;
    if (tokenizer_encode(tokenizer, text, sizeof text - 1, ENCODE_BOS, &list) &&
        tokenizer_decode(tokenizer, list.ids, list.count, true, &back, &size))
        free(back);
    token_list_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights weights;
    struct tokenizer tokenizer;
    if (weights_open(&weights, fuzz_file(data, size))) {
        if (tokenizer_open(&tokenizer, &weights)) {
            use(&tokenizer);
            tokenizer_free(&tokenizer);
        }
        weights_close(&weights);
    }
    status_clear();
    return 0;
}
