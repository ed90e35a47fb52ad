// Prefixes s_j, sampled from the unedited model (METHOD 1.1), one set a model and seed.
#pragma once
#include "edit/hparams.h"
#include "io/tokenizer.h"
#include "model/model.h"

struct contexts {
    char **texts; // [count]
    uint32_t count;
};

bool contexts_new(struct contexts *contexts, const struct model *model,
                  const struct tokenizer *tokenizer, const struct hparams *hparams, uint64_t seed);
void contexts_free(struct contexts *contexts);
