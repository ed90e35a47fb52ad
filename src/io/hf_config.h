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
};

// An architecture, activation or rotary scaling that is not known is refused by its name.
bool hf_config_read(struct hf_config *hf, const cJSON *root, const char *path);
