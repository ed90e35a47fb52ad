// config.json: what is read, in the forms of transformers 4 and 5, and what is refused.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "io/hf_config.h"
#include "ref_folder.h"
#include "ref_must.h"

// The small model's config with one text in place of another.
static bool read(struct hf_config *hf, const char *from, const char *to)
{
    char text[4096];
    const char *at = strstr(hf_config_text, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - hf_config_text), hf_config_text, to,
             at + strlen(from));
    cJSON *root = json_object(text, strlen(text), "config.json");
    must(root);
    bool ok = hf_config_read(hf, root, "config.json");
    cJSON_Delete(root);
    return ok;
}

static void must_read(struct hf_config *hf, const char *from, const char *to)
{
    must(read(hf, from, to));
}

static void refuse(const char *from, const char *to, const char *words)
{
    struct hf_config hf;
    must_fail(read(&hf, from, to), STATUS_BAD_DATA, words);
}

#define ROPE "\"rope_theta\": 5000"
#define ARCH "\"LlamaForCausalLM\""

static void test_plain(void **state)
{
    (void)state;
    struct hf_config hf;
    must_read(&hf, ROPE, ROPE);
    const struct config *c = &hf.config;
    assert_true(c->layers == 2 && c->dim == 8 && c->ffn == 12 && c->heads == 2 && c->kv_heads == 1);
    assert_true(c->head_dim == 4 && c->vocab == 262 && c->context == 64 && c->rope_base == 5000);
    assert_true(hf.tied && !hf.scaled && !hf.qkv_bias && !hf.ffn_bias && hf.bos == 256 &&
                hf.eos == 257);
    assert_true(hf.stop_count == 2 && hf.stops[0] == 257 && hf.stops[1] == 256);
    assert_string_equal(c->arch, "llama");
    must_read(&hf, ROPE, "\"rope_parameters\": {\"rope_theta\": 7000, \"rope_type\": \"default\"}");
    assert_true(hf.config.rope_base == 7000);
    must_read(&hf, ROPE, "\"rope_scaling\": null, \"head_dim\": 12");
    assert_true(hf.config.rope_base == 10000 && hf.config.head_dim == 12);
    must_read(&hf, ROPE, "\"attention_bias\": true, \"mlp_bias\": true");
    assert_true(hf.qkv_bias && hf.o_bias && hf.ffn_bias);
    must_read(&hf, "[" ARCH "]", "null"); // the model_type counts then
}

static void test_llama3(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "\"rope_theta\": 500000.0, \"rope_scaling\": {\"factor\": 8.0, \"low_freq_factor\": 1.0, "
        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64, \"rope_type\": "
        "\"llama3\"}, \"head_dim\": 16",
        "\"rope_parameters\": {\"rope_theta\": 500000.0, \"factor\": 8.0, \"low_freq_factor\": "
        "1.0, "
        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64, \"rope_type\": "
        "\"llama3\"}, \"head_dim\": 16"};
    for (size_t form = 0; form < 2; form++) {
        struct hf_config hf;
        must_read(&hf, ROPE, forms[form]);
        assert_true(hf.scaled);
        for (int i = 0; i < 8; i++) {
            double wave = 6.283185307179586 * pow(500000, i / 8.0), ramp = (64 / wave - 1) / 3;
            double wanted = wave < 16 ? 1 : wave > 64 ? 8 : 1 / ((1 - ramp) / 8 + ramp);
            assert_true(fabs(hf.factors[i] - wanted) < 1e-6 * wanted);
        }
        assert_true(hf.factors[0] == 1 && hf.factors[7] == 8);
        assert_true(hf.factors[1] > 1 && hf.factors[1] < 8); // on the ramp
    }
}

static void test_windows(void **state)
{
    (void)state;
    struct hf_config hf;
    must_read(&hf, ARCH, "\"MistralForCausalLM\"], \"sliding_window\": 7, \"x\": [");
    assert_true(hf.config.sliding_window == 7 && hf.config.window_layer == 0);
    must_read(&hf, ARCH, "\"MistralForCausalLM\"], \"sliding_window\": null, \"x\": [");
    assert_int_equal(hf.config.sliding_window, 0);
    must_read(&hf, ARCH, "\"MistralForCausalLM\"");
    assert_int_equal(hf.config.sliding_window, 4096);
    must_read(&hf, ARCH, "\"Qwen2ForCausalLM\"], \"use_sliding_window\": true, \"x\": [");
    assert_true(hf.config.sliding_window == 4096 && hf.config.window_layer == 2);
    must_read(&hf, ARCH, "\"Qwen2ForCausalLM\"], \"sliding_window\": 7, \"x\": [");
    assert_true(hf.config.sliding_window == 0 && hf.qkv_bias && !hf.o_bias);
    assert_true(!hf.config.rope_interleaved);
    must_read(&hf, ARCH,
              "\"Qwen2ForCausalLM\"], \"sliding_window\": 7, \"use_sliding_window\": true, "
              "\"max_window_layers\": 1, \"x\": [");
    assert_true(hf.config.sliding_window == 7 && hf.config.window_layer == 1);
    must_read(&hf, ARCH,
              "\"Qwen2ForCausalLM\"], \"sliding_window\": 7, \"use_sliding_window\": true, "
              "\"layer_types\": [\"full_attention\", \"sliding_attention\"], \"x\": [");
    assert_true(hf.config.sliding_window == 7 && hf.config.window_layer == 1);
    refuse(ARCH, "\"Qwen2ForCausalLM\"], \"sliding_window\": 7, \"use_sliding_window\": true, "
                 "\"layer_types\": [\"sliding_attention\", \"full_attention\"], \"x\": [",
           "layer 1 has attention of type full_attention");
    refuse(ARCH, "\"Qwen2ForCausalLM\"], \"layer_types\": [\"full_attention\"], \"x\": [",
           "layer_types has 1 entries, wanted 2");
    refuse(ARCH,
           "\"Qwen2ForCausalLM\"], \"layer_types\": [\"full_attention\", \"chunked\"], \"x\": [",
           "type chunked");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const needed[] = {"num_hidden_layers", "hidden_size", "intermediate_size",
                                         "num_attention_heads", "vocab_size",
                                         "max_position_embeddings", "rms_norm_eps"};
    for (size_t i = 0; i < COUNT(needed); i++) {
        char words[80];
        snprintf(words, sizeof words, "key %s is missing", needed[i]);
        refuse(needed[i], "other", words);
    }
    refuse(ARCH, "\"Gemma2ForCausalLM\"", "architecture Gemma2ForCausalLM");
    refuse(ARCH, "\"GPT2LMHeadModel\"", "architecture GPT2LMHeadModel");
    refuse("[" ARCH "], \"model_type\": \"llama\"", "null", "architecture (none)");
    refuse(ROPE, "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", "rope type yarn");
    refuse(ROPE, "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 2}",
           "low_freq_factor is missing");
    refuse(ROPE, "\"rope_parameters\": 3", "rope_parameters is no object");
    refuse(ROPE, "\"rope_scaling\": {\"factor\": 2}", "the rope parameters have factor");
    refuse(ROPE, "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 9}}",
           "the rope parameters have full_attention");
    refuse("\"eos_token_id\": [257, 256]",
           "\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "lists 17 tokens");
    refuse("\"eos_token_id\": [257, 256]", "\"eos_token_id\": [1, -2]", "eos_token_id is no token");
    refuse(ROPE, "\"partial_rotary_factor\": 0.5", "partial_rotary_factor is 0.5");
    refuse(ROPE, "\"quantization_config\": {}", "quantization_config");
    refuse(ROPE, "\"attention_bias\": 1", "neither true nor false");
    refuse("\"silu\"", "\"gelu\"", "activation gelu");
    refuse("\"hidden_size\": 8", "\"hidden_size\": 8.5", "wanted a whole number");
    refuse("\"hidden_size\": 8", "\"hidden_size\": -8", "hidden_size is -8");
    refuse("\"hidden_size\": 8", "\"hidden_size\": \"8\"", "hidden_size is nan");
    refuse("\"hidden_size\": 8", "\"hidden_size\": 1e300", "hidden_size is 1");
    refuse("\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", "3 key-value heads");
    refuse(ROPE, "\"head_dim\": 3", "heads of size 3");
    refuse("\"bos_token_id\": 256", "\"bos_token_id\": \"a\"", "bos_token_id is no token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_llama3),
                                       cmocka_unit_test(test_windows),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
