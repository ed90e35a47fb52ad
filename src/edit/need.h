// What a run of edits will take on the device and the host, worked out from the model's file, the
// settings and the requests alone: nothing is loaded. What is made and freed together is an item;
// an item lives through some phases; the peak is the largest sum over a phase.
#pragma once
#include "edit/editor.h"
#include "edit/need_parts.h"
#include "io/tokenizer.h"

// In the order of a run; several layers go through moment to directions one after the other.
enum need_phase {
    NEED_LOAD, NEED_TILES, NEED_CONTEXTS, NEED_SAMPLES, NEED_MOMENT, NEED_FACTOR, NEED_GRADIENT,
    NEED_DIRECTIONS, NEED_START, NEED_PREPARE, NEED_STEPS, NEED_COMMIT, NEED_FINISH, NEED_ANSWERS,
    NEED_WRITE,
    NEED_PHASES
};
extern const char *const need_phase_names[NEED_PHASES];
extern const char *const need_group_names[NEED_PHASES]; // load, statistics, grad, edits or write

enum { NEED_ITEMS = 40 };

struct need_item {
    const char *name;
    unsigned phases; // bits 1 << enum need_phase
    struct amount device;
    uint64_t host; // bytes
};

struct need_sum {
    uint64_t device, reserved, host; // reserved: by whole device allocations
};

struct need {
    struct need_item items[NEED_ITEMS];
    uint32_t count;
    struct need_sum sums[NEED_PHASES];
    enum need_phase peak; // where most is in use on the device
    uint64_t device, reserved, host, largest; // the most of any phase; of one buffer
    const char *largest_in;                   // its item
};

// Tokens of a request: of its prompt, up to the subject's last, of its target, of the KL prompt.
struct need_request {
    uint32_t given, lookup, targets, essence;
};

struct need_run {
    const struct weights *weights;
    const struct hparams *hparams;
    const struct solver *solver;
    const struct guard *guard;
    const struct need_request *requests; // [count]
    uint32_t count;
    uint32_t tokens; // of the text for C; 0: as the hyper-parameters say
    bool text;       // false: the model's own samples
    // Tokens of each prompt's answer, before and after all edits; 0: none are asked.
    uint32_t answers;
    uint32_t together; // prompts at once
    bool rounded;    // the edited matrix is not written as f32
    bool as_q4;      // counts the model as if it were stored as Q4_0
    uint32_t streamed; // layers that are read from the file when they are used (model/stream.h)
};

bool need_request(struct need_request *r, const struct tokenizer *tokenizer,
                  const struct request *request);
// Nothing counts as cached: a run that finds its statistics takes less. Prefixes that are sampled
// count as long as they are asked for; directions and null spaces of which only a run can tell the
// size count as large as they can be.
bool need_of(struct need *need, const struct need_run *run);

// The fewest layers to be streamed, in run->streamed, so that the device's part and an eighth of it
// are `limit` bytes at most, and what the run then needs. STATUS_NO_MEMORY: not even with all.
bool need_within(struct need *need, struct need_run *run, uint64_t limit);
