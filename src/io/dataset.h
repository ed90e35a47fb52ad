// Edit requests, in the forms of CounterFact (EasyEdit), CounterFact (ROME) and ZsRE.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_list {
    char **items;
    size_t count;
};

// One fact to be edited. Texts are kept as the file has them: no blank is added or removed.
struct request {
    int64_t id;                       // case_id, or the record's number counted from 0
    char *prompt;                     // full, with the subject filled in
    char *subject;                    // never empty
    size_t subject_at;                // byte offset of the subject's first occurrence in prompt
    char *target_new;                 // never empty
    char *target_true;                // NULL if the record has none
    struct text_list rephrases;       // the same fact asked otherwise
    struct text_list localities;      // other facts, which should stay
    struct text_list locality_truths; // as many as localities, or none
    struct text_list generations;     // starts for free generation (ROME form)
};

struct dataset {
    struct request *requests;
    size_t count, capacity;
};

// Which answer of a ZsRE record is the new target.
enum zsre_target { ZSRE_ALT, ZSRE_ANSWERS };

struct dataset_options {
    size_t skip;  // records left out at the start
    size_t limit; // at most so many; 0: all that there are
    enum zsre_target zsre_target;
};

// Reads a JSON array or objects one after the other (JSONL).
bool dataset_open(struct dataset *dataset, const char *path, struct dataset_options options);

// One request from the command line.
bool dataset_from_strings(struct dataset *dataset, const char *prompt, const char *subject,
                          const char *target_new);
void dataset_free(struct dataset *dataset);
void request_free(struct request *request); // accepts zero
bool request_same(const struct request *left, const struct request *right);
// Over the records in their order, every text of them; not over how the file writes them.
uint64_t dataset_hash(const struct dataset *dataset);
