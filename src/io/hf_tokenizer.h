// tokenizer.json: byte-pair merges over bytes or characters, with what stands before them. Text
// goes through added tokens, normaliser, pre-tokenizer and merges, in this order.
#pragma once
#include <cjson/cJSON.h>

#include "io/pretoken.h"
#include "io/weights.h"

enum { HF_STEPS = 8, HF_SPLITS = 8 };

// A step of the normaliser.
enum step_kind { STEP_PREPEND, STEP_REPLACE, STEP_NFC };

struct step {
    enum step_kind kind;
    struct bytes from, to; // REPLACE; PREPEND has `to` only
};

// A token that is found in the text as it stands, before anything else.
struct added {
    uint32_t id;
    struct bytes content; // of a normalised one: as the normaliser leaves it
    char *own;            // content's memory, if not the file's
    bool special, normalized, single_word, lstrip, rstrip;
};

struct hf_tokenizer {
    cJSON *root; // what all bytes point into
    struct step steps[HF_STEPS];
    size_t step_count;
    struct split splits[HF_SPLITS];
    size_t split_count;
    // Splits [0, turned_from) cut the text; each piece then has its blanks turned, or one put
    // before it, and is cut by the other splits. Only where `turns`.
    bool turns;
    size_t turned_from;
    bool bytes;                // byte-level: the vocabulary writes bytes as byte_alphabet does
    bool blank_first;          // ByteLevel's add_prefix_space
    bool meta;                 // Metaspace: blanks become `blank`
    bool meta_always, meta_first; // which also stands before a piece; first: of the text only
    struct bytes blank;
    struct added *added; // [added_count], longest content first
    size_t added_count;
};

// Parses the file's text into vocab, vocab->hf and what else is only there. bos, eos: ids of
// config.json, -1 if none; a template's first token goes before bos.
bool hf_tokenizer_read(struct vocab *vocab, const char *text, size_t size);
void hf_tokenizer_free(struct hf_tokenizer *hf); // accepts NULL
