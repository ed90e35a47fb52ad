// config.json of Hugging Face folders, as transformers 4 and 5 write it.
#pragma once
#include <cjson/cJSON.h>

#include "io/weights.h"

struct hf_config {
    struct config config;
    bool tied;                     // lm_head.weight is not used, whether it is there or not
    bool qkv_bias, o_bias, ffn_bias;
    bool scaled;                   // factors divide the rotary frequencies
    float factors[128];            // [head_dim / 2]
    int64_t bos, eos;              // -1: none; of a list the first
    uint32_t stops[STOPS_MOST];    // [stop_count] all of eos_token_id
    uint32_t stop_count;
};

// An architecture, activation or rotary scaling that is not known is refused by its name.
bool hf_config_read(struct hf_config *hf, const cJSON *root, const char *path);

// eos_token_id, a number or a list, of config.json or generation_config.json; none: *count is 0.
bool hf_stops_read(const cJSON *root, const char *path, uint32_t stops[static STOPS_MOST],
                   uint32_t *count);
