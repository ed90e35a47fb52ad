// What edits did: reliability, generalisation, locality (O-Edit Eq. 16), perplexity.
#pragma once
#include "io/dataset.h"
#include "io/tokenizer.h"
#include "model/forward.h"

// A text and the tokens that should follow it, teacher-forced.
struct question {
    uint32_t *tokens; // prompt, then answer but for its last token [count]
    uint32_t count;
    uint32_t given;   // tokens of the prompt
    uint32_t *answer; // [answers] wanted tokens
    uint32_t *top;    // [answers] the model's: argmax at each place
    uint32_t answers;
};

enum question_kind { ASK_REL, ASK_GEN, ASK_LOC, ASK_KINDS };

// All questions of a set of requests, by kind; first[kind][i] is request i's first question.
struct exam {
    uint32_t requests;
    struct question *questions[ASK_KINDS];
    uint32_t *first[ASK_KINDS]; // [requests + 1]
};

bool exam_new(struct exam *exam, const struct tokenizer *tokenizer, const struct request *requests,
              uint32_t count);
void exam_free(struct exam *exam);

// Fills top of the questions of one kind, in large batches.
bool exam_ask(struct exam *exam, const struct model *model, enum question_kind kind);

// Share of request i's questions whose every answer token is on top; for ASK_LOC the wanted tokens
// are those of the unedited model: `base`, which was asked before. NAN if there are none.
double exam_score(const struct exam *exam, enum question_kind kind, uint32_t i,
                  const struct exam *base);

// exp of the mean next-token loss over the text, in blocks of `block` tokens.
bool eval_perplexity(const struct model *model, const uint32_t *tokens, uint32_t count,
                     uint32_t block, double *perplexity);
