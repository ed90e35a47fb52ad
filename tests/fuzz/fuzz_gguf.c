// A model file and the tokenizer inside it.
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/tokenizer.h"

// There and back.
static void use_text(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    struct token_list list = {0};
    char *back = NULL;
    size_t back_size;
    if (tokenizer_encode(tokenizer, text, size, ENCODE_BOS, &list)) {
        if (tokenizer_decode(tokenizer, list.ids, list.count, true, &back, &back_size)) free(back);
        token_list_ending(&list, size);
    }
    token_list_free(&list);
    status_clear();
}

// A text of our own, and the vocabulary's: what the merges and the pattern are about.
static void use(const struct tokenizer *tokenizer)
{
    static const char text[] = "The cat  lives in 1234 \xc3\xa9\n<s>abc it's";
    use_text(tokenizer, text, sizeof text - 1);
    char own[512];
    size_t used = 0;
    for (uint32_t id = 0; id < 64 && id < tokenizer->vocab.count; id++) {
        struct bytes piece = tokenizer_piece(tokenizer, id);
        if (piece.size > sizeof own - used) break;
        memcpy(own + used, piece.data, piece.size);
        used += piece.size;
        tokenizer_is_special(tokenizer, id);
    }
    use_text(tokenizer, own, used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights weights;
    struct tokenizer tokenizer;
    if (weights_open(&weights, fuzz_file(data, size))) {
        weights_hash(&weights);
        if (tokenizer_open(&tokenizer, &weights)) {
            use(&tokenizer);
            tokenizer_free(&tokenizer);
        }
        weights_close(&weights);
    }
    status_clear();
    return 0;
}
