// What --grad-source names, as a corpus.
#pragma once
#include "cli/args.h"
#include "edit/corpus.h"
#include "edit/hparams.h"

// Refuses what cannot be, before a device is opened.
bool grad_text_check(const struct args *args);

// Empty for --grad-source text. Of at most `tokens` tokens.
bool grad_text_open(struct corpus *corpus, const struct args *args,
                    const struct tokenizer *tokenizer, const struct hparams *hparams,
                    uint32_t tokens);
