// What grad G may be made from besides running text (O-Edit App. C.1, Table 4).
#pragma once
#include "edit/corpus.h"
#include "edit/hparams.h"
#include "io/dataset.h"

struct source {
    enum grad_source kind;          // not GRAD_TEXT: that is corpus_from_file
    const struct request *requests; // GRAD_LOCALITY, GRAD_KNOWLEDGE [count]
    size_t count;
    size_t skip_from, skip_to; // of these, the edited ones: left out while others are there
    const char *where;         // the requests' file, for messages
    uint64_t seed;             // GRAD_ASCII
};

// Statements, each a text of its own: locality prompts with their answers, or prompts with their
// old answers, in the order of the requests, whole, while they are at most `limit` tokens; or
// `limit` tokens of random printable ASCII in blocks. Fails with STATUS_BAD_DATA if no record has
// one.
bool corpus_from_source(struct corpus *corpus, const struct tokenizer *tokenizer,
                        const struct source *source, uint32_t limit, uint32_t block);
