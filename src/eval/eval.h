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
    uint32_t *before; // [answers] the unedited model's; NULL: exam_unedited was not called
    uint32_t answers;
    double likelihood; // mean log P of the answer's tokens
    bool begins;       // the model's own answer begins with the wanted one (exam_continue)
};

// The new answer behind prompt and rephrased prompts; other facts; the true answer behind the same
// prompts as the first two, where the record has one.
enum question_kind { ASK_REL, ASK_GEN, ASK_LOC, ASK_TRUE, ASK_GEN_TRUE, ASK_KINDS };

// All questions of a set of requests, by kind; first[kind][i] is request i's first question.
struct exam {
    uint32_t requests;
    struct question *questions[ASK_KINDS];
    uint32_t *first[ASK_KINDS]; // [requests + 1]
};

bool exam_new(struct exam *exam, const struct tokenizer *tokenizer, const struct request *requests,
              uint32_t count);
void exam_free(struct exam *exam);

// Questions of the requests [first, first + count), and what is asked of them.
struct exam_part {
    unsigned kinds; // bit k: question_kind k
    uint32_t first, count;
    bool tops, likelihoods;
};

// Fills top and likelihood, in large batches. May be asked as often as wanted, of any state of a
// model with this tokenizer.
bool exam_ask_part(struct exam *exam, const struct model *model, struct exam_part part);

// Fills top of all questions of one kind.
bool exam_ask(struct exam *exam, const struct model *model, enum question_kind kind);

// Fills before of the part's questions (and top): the model is the unedited one.
bool exam_unedited(struct exam *exam, const struct model *model, struct exam_part part);

// Fills begins: the model continues the prompts greedily, all together, nothing being forced on it.
// The answer's text must come first, blanks before it aside, and end where a word ends.
bool exam_continue(struct exam *exam, const struct model *model, const struct tokenizer *tokenizer,
                   struct exam_part part);

// Share of request i's questions whose every answer token is on top; for ASK_LOC the wanted tokens
// are those of the unedited model: `base`, which was asked before, or, where that is NULL, those of
// exam_unedited. NAN if there are none.
double exam_score(const struct exam *exam, enum question_kind kind, uint32_t i,
                  const struct exam *base);

// Share of request i's questions (ASK_REL, ASK_GEN) whose new answer is likelier than the true one,
// by the mean log-likelihood of the tokens (ROME's efficacy and paraphrase score). NAN if there is
// no true answer.
double exam_success(const struct exam *exam, enum question_kind kind, uint32_t i);

// Share of request i's questions of a kind whose begins is set. NAN if there are none.
double exam_begins(const struct exam *exam, enum question_kind kind, uint32_t i);

// A text's next-token losses, block by block: `block` tokens each, or as many as the model takes; a
// last token that stands alone is left out.
struct losses {
    uint32_t tokens, block, blocks;
    double *sums; // [blocks], over the tokens of each
};

// Fails with STATUS_BAD_DATA where there is no block. `block`: at most.
bool losses_new(struct losses *losses, uint32_t positions, uint32_t tokens, uint32_t block);
void losses_free(struct losses *losses); // accepts zero
// Fills the sums of blocks [first, end).
bool losses_take(struct losses *losses, const struct model *model, const uint32_t *tokens,
                 uint32_t first, uint32_t end);
// exp of the mean loss: all sums are there.
double losses_perplexity(const struct losses *losses);

// All of that.
bool eval_perplexity(const struct model *model, const uint32_t *tokens, uint32_t count,
                     uint32_t block, double *perplexity);
