#include "io/hf_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/maths.h"
#include "base/status.h"

static const struct architecture {
    const char *name, *type, *arch; // arch: the name that GGUF has for it
    bool interleaved;               // pairs (2i, 2i + 1) are rotated, once the rows are turned
} architectures[] = {{"LlamaForCausalLM", "llama", "llama", true},
                     {"MistralForCausalLM", "mistral", "llama", true},
                     {"Qwen2ForCausalLM", "qwen2", "qwen2", false}};

struct source { // what messages name
    const cJSON *object;
    const char *path;
};

// NULL where the key is missing or null, which mean the same.
static const cJSON *find(struct source s, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(s.object, key);
    return item && !cJSON_IsNull(item) ? item : NULL;
}

// A missing key leaves *value as it is, unless it is required.
static bool number(struct source s, const char *key, bool required, double low, double high,
                   double *value)
{
    const cJSON *item = find(s, key);
    if (!item)
        return !required || fail(STATUS_BAD_DATA, "%s: key %s is missing", s.path, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high))
        return fail(STATUS_BAD_DATA, "%s: %s is %.17g, wanted a number from %g to %g", s.path, key,
                    cJSON_IsNumber(item) ? item->valuedouble : NAN, low, high);
    *value = item->valuedouble;
    return true;
}

static bool whole(struct source s, const char *key, bool required, uint32_t *value)
{
    double wide = *value;
    if (!number(s, key, required, 1, 1 << 24, &wide)) return false;
    *value = (uint32_t)wide;
    return *value == wide ||
           fail(STATUS_BAD_DATA, "%s: %s is %g, wanted a whole number", s.path, key, wide);
}

static bool flag(struct source s, const char *key, bool *value)
{
    const cJSON *item = find(s, key);
    if (item && !cJSON_IsBool(item))
        return fail(STATUS_BAD_DATA, "%s: %s is neither true nor false", s.path, key);
    if (item) *value = cJSON_IsTrue(item);
    return true;
}

// "" if there is none of that name.
static bool text(struct source s, const char *key, const char **value)
{
    const cJSON *item = find(s, key);
    *value = "";
    if (item && !cJSON_IsString(item))
        return fail(STATUS_BAD_DATA, "%s: %s is no text", s.path, key);
    if (item) *value = item->valuestring;
    return true;
}

// A model of another architecture would load and compute nonsense, hence by name only.
static const struct architecture *architecture_find(struct source s)
{
    const cJSON *list = find(s, "architectures");
    const cJSON *first = cJSON_IsArray(list) ? list->child : NULL;
    const char *name = "", *type;
    if (!text(s, "model_type", &type)) return NULL;
    if (first && cJSON_IsString(first)) name = first->valuestring;
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        const struct architecture *a = &architectures[i];
        if (*name ? strcmp(name, a->name) == 0 : strcmp(type, a->type) == 0) return a;
    }
    fail(STATUS_BAD_DATA, "%s has the architecture %.60s, wanted LlamaForCausalLM, "
         "MistralForCausalLM or Qwen2ForCausalLM", s.path, *name ? name : *type ? type : "(none)");
    return NULL;
}

// Frequencies of long waves are divided, those of short ones stay, and between them is a ramp. In
// double, from frequencies rounded to float as the model has them.
static bool llama3_factors(struct hf_config *hf, struct source rope)
{
    double factor = 0, low = 0, high = 0, context = 0;
    if (!number(rope, "factor", true, 1, 1e6, &factor) ||
        !number(rope, "low_freq_factor", true, 1e-6, 1e6, &low) ||
        !number(rope, "high_freq_factor", true, 1e-6, 1e6, &high) ||
        !number(rope, "original_max_position_embeddings", true, 1, 1e9, &context))
        return false;
    if (high <= low)
        return fail(STATUS_BAD_DATA, "%s: high_freq_factor %g, low_freq_factor %g, wanted the "
                                     "first above the second", rope.path, high, low);
    const struct config *c = &hf->config;
    for (uint32_t i = 0; i < c->head_dim / 2; i++) {
        double wave = 2 * acos(-1) * maths_power((double)c->rope_base, 2.0 * i / c->head_dim);
        double ramp = (context / wave - low) / (high - low);
        hf->factors[i] = (float)(wave < context / high  ? 1
                                 : wave > context / low ? factor
                                                        : 1 / ((1 - ramp) / factor + ramp));
    }
    hf->scaled = true;
    return true;
}

// Transformers 4 has rope_theta and rope_scaling, transformers 5 has both in rope_parameters.
static bool rope_read(struct hf_config *hf, struct source s)
{
    const cJSON *both = find(s, "rope_parameters");
    const cJSON *scaling = both ? both : find(s, "rope_scaling");
    struct source rope = {scaling, s.path};
    const char *type = "", *old = "";
    double base = 10000, partial = 1;
    if (scaling && !cJSON_IsObject(scaling))
        return fail(STATUS_BAD_DATA, "%s: %s is no object", s.path,
                    both ? "rope_parameters" : "rope_scaling");
    if (!number(s, "rope_theta", false, 1, 1e12, &base) ||
        !number(s, "partial_rotary_factor", false, 0, 1, &partial))
        return false;
    if (scaling && (!number(rope, "rope_theta", false, 1, 1e12, &base) ||
                    !number(rope, "partial_rotary_factor", false, 0, 1, &partial) ||
                    !text(rope, "rope_type", &type) || !text(rope, "type", &old)))
        return false;
    if (partial != 1)
        return fail(STATUS_BAD_DATA, "%s: partial_rotary_factor is %g, wanted 1", s.path, partial);
    hf->config.rope_base = (float)base;
    if (!*type) type = old;
    for (const cJSON *item = scaling ? scaling->child : NULL; item; item = item->next)
        if (cJSON_IsObject(item) || (!*type && strcmp(item->string, "factor") == 0))
            return fail(STATUS_BAD_DATA, "%s: the rope parameters have %.60s, wanted a rope_type "
                                         "and numbers", s.path, item->string);
    if (!scaling || !*type || strcmp(type, "default") == 0) return true;
    if (strcmp(type, "llama3") == 0) return llama3_factors(hf, rope);
    return fail(STATUS_BAD_DATA, "%s has the rope type %.60s, wanted default or llama3", s.path,
                type);
}

// Qwen2 has its window from some layer on, or a list that says it layer by layer.
static bool layer_types_read(struct config *c, struct source s, const cJSON *list)
{
    uint32_t count = 0;
    bool sliding = false;
    if (!cJSON_IsArray(list) || (uint32_t)cJSON_GetArraySize(list) != c->layers)
        return fail(STATUS_BAD_DATA, "%s: layer_types has %d entries, wanted %u", s.path,
                    cJSON_GetArraySize(list), c->layers);
    c->window_layer = c->layers;
    for (const cJSON *item = list->child; item; item = item->next, count++) {
        const char *type = cJSON_IsString(item) ? item->valuestring : "(no text)";
        bool window = strcmp(type, "sliding_attention") == 0;
        if ((!window && strcmp(type, "full_attention") != 0) || (sliding && !window))
            return fail(STATUS_BAD_DATA, "%s: layer %u has attention of type %.60s, wanted "
                        "full_attention, then sliding_attention to the end", s.path, count, type);
        if (window && !sliding) c->window_layer = count;
        sliding = window;
    }
    if (sliding && !c->sliding_window)
        return fail(STATUS_BAD_DATA, "%s: layer %u has sliding_attention, key sliding_window is "
                                     "missing", s.path, c->window_layer);
    return true;
}

static bool window_read(struct config *c, struct source s, const struct architecture *a)
{
    bool use = strcmp(a->type, "mistral") == 0;
    double from = 28;
    if (strcmp(a->type, "llama") == 0) return true;
    bool qwen2 = strcmp(a->type, "qwen2") == 0;
    if (qwen2 && !flag(s, "use_sliding_window", &use)) return false;
    // Where the key is missing, not null, transformers has a window of 4096.
    if (use && !cJSON_GetObjectItemCaseSensitive(s.object, "sliding_window"))
        c->sliding_window = 4096;
    if (use && !whole(s, "sliding_window", false, &c->sliding_window)) return false;
    if (!qwen2) return true;
    if (find(s, "layer_types")) return layer_types_read(c, s, find(s, "layer_types"));
    if (use && !number(s, "max_window_layers", false, 0, 1 << 24, &from)) return false;
    c->window_layer = from < c->layers ? (uint32_t)from : c->layers;
    return true;
}

static bool biases_read(struct hf_config *hf, struct source s, const struct architecture *a)
{
    bool attention = false;
    if (strcmp(a->type, "qwen2") == 0) hf->qkv_bias = true;
    if (strcmp(a->type, "llama") != 0) return true;
    if (!flag(s, "attention_bias", &attention) || !flag(s, "mlp_bias", &hf->ffn_bias)) return false;
    hf->qkv_bias = hf->o_bias = attention;
    return true;
}

static bool token_check(struct source s, const char *key, const cJSON *item, int64_t *id)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 1 << 30))
        return fail(STATUS_BAD_DATA, "%s: %s is no token", s.path, key);
    *id = (int64_t)item->valuedouble;
    return true;
}

// A number, or the first of a list; -1 where there is none.
static bool token_read(struct source s, const char *key, int64_t *id)
{
    const cJSON *item = find(s, key);
    if (cJSON_IsArray(item)) item = item->child;
    *id = -1;
    return !item || token_check(s, key, item, id);
}

bool hf_stops_read(const cJSON *root, const char *path, uint32_t stops[static STOPS_MOST],
                   uint32_t *count)
{
    static const char *const key = "eos_token_id";
    struct source s = {root, path};
    const cJSON *item = find(s, key);
    int64_t id = -1;
    *count = 0;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) > STOPS_MOST)
        return fail(STATUS_BAD_DATA, "%s: %s lists %d tokens, wanted at most %d", path, key,
                    cJSON_GetArraySize(item), STOPS_MOST);
    for (item = cJSON_IsArray(item) ? item->child : item; item; item = item->next) {
        if (!token_check(s, key, item, &id)) return false;
        stops[(*count)++] = (uint32_t)id;
        if (item == find(s, key)) break; // a number: its neighbours are other keys
    }
    return true;
}

bool hf_config_read(struct hf_config *hf, const cJSON *root, const char *path)
{
    struct source s = {root, path};
    struct config *c = &hf->config;
    const char *activation;
    double eps = 0;
    *hf = (struct hf_config){0};
    const struct architecture *a = architecture_find(s);
    if (!a) return false;
    snprintf(c->arch, sizeof c->arch, "%s", a->arch);
    c->rope_interleaved = a->interleaved;
    if (find(s, "quantization_config"))
        return fail(STATUS_BAD_DATA, "%s: quantization_config, wanted F32, F16 or BF16 weights",
                    path);
    if (!whole(s, "num_hidden_layers", true, &c->layers) ||
        !whole(s, "hidden_size", true, &c->dim) ||
        !whole(s, "intermediate_size", true, &c->ffn) ||
        !whole(s, "num_attention_heads", true, &c->heads) ||
        !whole(s, "vocab_size", true, &c->vocab) ||
        !whole(s, "max_position_embeddings", true, &c->context) ||
        !number(s, "rms_norm_eps", true, 0, 1, &eps) || !text(s, "hidden_act", &activation))
        return false;
    if (*activation && strcmp(activation, "silu") != 0)
        return fail(STATUS_BAD_DATA, "%s has the activation %.60s, wanted silu", path, activation);
    c->norm_eps = (float)eps;
    c->kv_heads = c->heads;
    c->head_dim = c->dim / c->heads;
    return whole(s, "num_key_value_heads", false, &c->kv_heads) &&
           whole(s, "head_dim", false, &c->head_dim) && config_check(c, path) &&
           flag(s, "tie_word_embeddings", &hf->tied) && rope_read(hf, s) && window_read(c, s, a) &&
           biases_read(hf, s, a) && token_read(s, "bos_token_id", &hf->bos) &&
           token_read(s, "eos_token_id", &hf->eos) &&
           hf_stops_read(root, path, hf->stops, &hf->stop_count);
}
