#include "cli/grad_text.h"

#include "base/status.h"
#include "edit/sources.h"

static bool of_requests(const struct args *args)
{
    return args->grad_source == GRAD_LOCALITY || args->grad_source == GRAD_KNOWLEDGE;
}

bool grad_text_check(const struct args *args)
{
    const char *name = grad_source_names[args->grad_source];
    if (args->grad_requests && !of_requests(args))
        return fail(STATUS_USAGE, "--grad-requests: --grad-source %s does not use it", name);
    if (of_requests(args) && !args->grad_requests && !args->requests)
        return fail(STATUS_USAGE, "--grad-source %s: wanted --grad-requests FILE", name);
    return true;
}

bool grad_text_open(struct corpus *corpus, const struct args *args,
                    const struct tokenizer *tokenizer, const struct hparams *h, uint32_t tokens)
{
    *corpus = (struct corpus){0};
    if (h->grad_source == GRAD_TEXT) return true;
    struct dataset data = {0};
    struct source source = {.kind = h->grad_source, .seed = args->seed,
                            .where = args->grad_requests ? args->grad_requests : args->requests};
    bool ok = !of_requests(args) ||
              dataset_open(&data, source.where,
                           (struct dataset_options){
                               .zsre_target = args->zsre_target ? ZSRE_ANSWERS : ZSRE_ALT});
    if (!args->grad_requests) { // what is edited is in the same file
        source.skip_from = (size_t)args->skip;
        source.skip_to = args->n ? (size_t)args->skip + args->n : data.count;
    }
    source.requests = data.requests;
    source.count = data.count;
    ok = ok && corpus_from_source(corpus, tokenizer, &source, tokens, h->block);
    dataset_free(&data);
    return ok;
}
