// A tokenizer.json beside a good model, and what it does to some texts.
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz.h"
#include "io/tokenizer.h"
#include "ref_folder.h"

static void use(const struct tokenizer *tokenizer, const char *text, unsigned flags)
{
    struct token_list list = {0};
    char *back = NULL;
    size_t size;
    if (tokenizer_encode(tokenizer, text, strlen(text), flags, &list)) {
        for (size_t i = 0; i < list.count; i++) // spans lie in the text
            if (list.spans[i].start > list.spans[i].end || list.spans[i].end > strlen(text))
                abort();
        if (tokenizer_decode(tokenizer, list.ids, list.count, true, &back, &size)) free(back);
        token_list_ending(&list, strlen(text));
    }
    token_list_free(&list);
    status_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weights weights;
    struct tokenizer tokenizer;
    const char *folder = fuzz_folder();
    if (!weights.format && !weights_open(&weights, folder)) abort();
    hf_put(folder, "tokenizer.json", (const char *)data, size);
    if (tokenizer_open(&tokenizer, &weights)) {
        use(&tokenizer, "The cat  lives in 1234 e\xcc\x81 \xc3\xa9\n<s>abc it's the", ENCODE_BOS);
        use(&tokenizer, " ab<s> \xf0\x9f\x98\x80 ab ", ENCODE_PLAIN | ENCODE_CONTINUES);
        use(&tokenizer, "", ENCODE_BOS);
        tokenizer_free(&tokenizer);
    }
    status_clear();
    return 0;
}
