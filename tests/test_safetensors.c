// Folders of safetensors: read, damaged, edited.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "io/safetensors.h"
#include "io/tokenizer.h"
#include "ref_folder.h"
#include "ref_must.h"
#include "ref_tiny.h"

static char folder[512];

static void folder_new(void)
{
    snprintf(folder, sizeof folder, "%s", tiny_path("hf"));
    mkdir(folder, 0777);
    hf_folder(folder);
}

// Opening must fail with STATUS_BAD_DATA and a sentence of one line that has `words` in it.
static void refuse_path(const char *path, const char *words)
{
    struct weights weights;
    must_fail(weights_open(&weights, path), STATUS_BAD_DATA, words);
    weights_close(&weights);
}

static void refuse(const char *words)
{
    refuse_path(folder, words);
    hf_folder(folder);
}

// The header with one text in place of another.
static void refuse_header(const char *from, const char *to, const char *words)
{
    uint8_t *data;
    size_t size;
    char *header = hf_header(0, HF_LAYERS, &data, &size), *at = strstr(header, from);
    assert_non_null(at);
    char *changed = calloc(1, strlen(header) + strlen(to) + 1);
    assert_non_null(changed);
    sprintf(changed, "%.*s%s%s", (int)(at - header), header, to, at + strlen(from));
    hf_put_shard(folder, "model.safetensors", changed, data, size);
    free(changed);
    free(header);
    free(data);
    refuse(words);
}

static void test_read(void **state)
{
    (void)state;
    char file[600];
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    for (int i = 0; i < 2; i++) { // the folder, and the file in it
        struct weights weights;
        must(weights_open(&weights, i ? file : folder));
        assert_int_equal(weights.count, 2 + 9 * HF_LAYERS);
        assert_true(weights.config.tied && weights.config.rope_interleaved);
        const struct tensor *q = weights_part(&weights, PART_Q, 1);
        assert_int_equal(q->split_heads, HF_HEADS);
        uint8_t *pairs = malloc(q->bytes);
        assert_non_null(pairs);
        tensor_pairs(q, pairs);
        size_t row = HF_DIM * 4; // rows 0 1 2 3 of a head are wanted as 0 2 1 3
        for (size_t r = 0; r < q->rows; r++) {
            static const size_t from[HF_SIZE] = {0, 2, 1, 3};
            size_t wanted = r / HF_SIZE * HF_SIZE + from[r % HF_SIZE];
            assert_memory_equal(pairs + r * row, q->data + wanted * row, row);
        }
        free(pairs);
        assert_int_equal(weights_part(&weights, PART_FFN_DOWN, 0)->split_heads, 0);
        struct bytes note;
        must(weights_note(&weights, "oedit.run", &note));
        assert_int_equal(note.size, 0);
        assert_int_equal(strlen(weights_hash(&weights)), 32);
        weights_close(&weights);
        weights_close(&weights);
    }
}

static void test_bad_header(void **state)
{
    (void)state;
    const uint64_t huge = 1ull << 60;
    hf_put(folder, "model.safetensors", (const char *)&huge, 8);
    refuse("a header of 1152921504606846976 bytes");
    hf_put(folder, "model.safetensors", "abc", 3);
    refuse("cut short");
    hf_put_shard(folder, "model.safetensors", "[]", NULL, 0);
    refuse("wanted a JSON object");
    hf_put_shard(folder, "model.safetensors", "{\"a\": ", NULL, 0);
    refuse("is no JSON");
    hf_put_shard(folder, "model.safetensors", "{\"\xff\": 1}", NULL, 0);
    refuse("is not UTF-8: byte 0xff at offset 2");
    refuse_header("\"shape\": [262, 8]", "\"shape\": [262, 9]", "its data_offsets 8384");
    refuse_header("\"shape\": [262, 8]", "\"shape\": [4611686018427387904, 8]", "impossible shape");
    refuse_header("\"shape\": [262, 8]", "\"shape\": [-1, 8]", "impossible shape");
    refuse_header("[0, 8384]", "[0, 99999999]", "cut short or corrupted");
    refuse_header("[0, 8384]", "[8, 4]", "cut short or corrupted");
    refuse_header("[0, 8384]", "[0.5, 8384]", "cut short or corrupted");
    refuse_header("[8384, 8416]", "[8352, 8384]", "overlap");
    refuse_header("\"mine\": \"kept\"}", "\"mine\": \"kept\"}, \"x\": 3", "lacks one of dtype");
    refuse_header("\"dtype\": \"F32\", \"shape\": [262, 8]",
                  "\"dtype\": \"I32\", \"shape\": [262, 8]",
                  "has type I32, wanted F32, F16 or BF16");
    refuse_header("\"dtype\": \"F32\", \"shape\": [262, 8]",
                  "\"dtype\": \"F8_E4M3\", \"shape\": [262, 8]", "has type F8_E4M3");
    refuse_header("model.norm.weight", "model.norms.weight", "model.norm.weight is missing");
    refuse_header("\"shape\": [12, 8]", "\"shape\": [8, 12]",
                  "has the shape [8, 12], wanted [12, 8]");
    refuse_header("layers.1.mlp.up_proj", "layers.1.mlp.gate_proj", "stands there twice");
}

// A tied model with its head in the file: the embedding's values, then others.
static void test_head(void **state)
{
    (void)state;
    struct weights weights;
    uint8_t *data;
    size_t size, head = 4 * HF_VOCAB * HF_DIM;
    char *header = hf_header(0, HF_LAYERS, &data, &size), more[1 << 14];
    uint8_t *longer = malloc(size + head);
    assert_non_null(longer);
    memcpy(longer, data, size);
    memcpy(longer + size, data, head); // the embedding comes first
    snprintf(more, sizeof more,
             "%.*s, \"lm_head.weight\": {\"dtype\": \"F32\", \"shape\": [%d, %d], "
             "\"data_offsets\": [%zu, %zu]}}",
             (int)strlen(header) - 1, header, HF_VOCAB, HF_DIM, size, size + head);
    hf_put_shard(folder, "model.safetensors", more, longer, size + head);
    must(weights_open(&weights, folder));
    assert_true(weights.config.tied);
    weights_close(&weights);
    longer[size + head - 1] ^= 1;
    hf_put_shard(folder, "model.safetensors", more, longer, size + head);
    refuse("tensor lm_head.weight is not model.embed_tokens.weight");
    free(longer);
    free(header);
    free(data);
}

// Two shards and their index, the second one's name as given.
static void shards_put(const char *second, const char *tensor, const char *extra)
{
    uint8_t *data;
    size_t size;
    char index[8192], *at = index;
    char *header = hf_header(0, 1, &data, &size);
    hf_put_shard(folder, "model-00001-of-00002.safetensors", header, data, size);
    free(header);
    free(data);
    header = hf_header(1, 2, &data, &size);
    hf_put_shard(folder, "model-00002-of-00002.safetensors", header, data, size);
    free(header);
    free(data);
    at += sprintf(at, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (int layer = 0; layer < 2; layer++) {
        static const char *const names[] = {
            "input_layernorm",  "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj",
            "self_attn.v_proj", "self_attn.o_proj",         "mlp.gate_proj",    "mlp.up_proj",
            "mlp.down_proj"};
        for (size_t i = 0; i < 9; i++)
            at += sprintf(at, "\"model.layers.%d.%s.weight\": \"%s\", ", layer, names[i],
                          layer ? second : "model-00001-of-00002.safetensors");
    }
    sprintf(at, "\"%s\": \"model-00001-of-00002.safetensors\", %s\"model.embed_tokens.weight\": "
                "\"model-00001-of-00002.safetensors\"}}", tensor, extra);
    hf_put(folder, "model.safetensors.index.json", index, strlen(index));
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
}

static void test_shards(void **state)
{
    (void)state;
    struct weights whole, weights;
    const char *good = "model-00002-of-00002.safetensors", *norm = "model.norm.weight";
    must(weights_open(&whole, folder));
    shards_put(good, norm, "");
    must(weights_open(&weights, folder));
    assert_int_equal(weights.count, whole.count);
    for (size_t i = 0; i < whole.count; i++)
        assert_non_null(weights_find(&weights, whole.tensors[i].name));
    weights_close(&weights);
    weights_close(&whole);
    shards_put("../model.safetensors", norm, "");
    refuse_path(folder, "wanted a file of the same folder");
    shards_put("", norm, "");
    refuse_path(folder, "wanted a file of the same folder");
    shards_put("gone.safetensors", norm, "");
    refuse_path(folder, "gone.safetensors: No such file");
    shards_put(good, "model.other", "");
    refuse_path(folder, "does not name tensor model.norm.weight");
    shards_put(good, norm, "\"model.other\": \"model-00002-of-00002.safetensors\", ");
    refuse_path(folder, "model.other is not in");
    shards_put("model-00001-of-00002.safetensors", norm, "");
    refuse_path(folder, "model.layers.1.input_layernorm.weight is not in");
    shards_put(good, norm, "");
    hf_put(folder, "model.safetensors.index.json", "{\"weight_map\": []}", 18);
    refuse("key weight_map");
}

// Every prefix of the file, and every byte of its header changed: refused, or opened whole.
static void test_damage(void **state)
{
    (void)state;
    struct file_map map;
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    must(file_map_open(&map, path));
    char *copy = malloc(map.size);
    assert_non_null(copy);
    for (size_t i = 0; i < 4200; i += 7) {
        memcpy(copy, map.data, map.size);
        copy[i] = (char)(copy[i] ^ (1 << i % 7));
        hf_put(folder, "damaged.safetensors", copy, i % 3 ? map.size : i);
        struct weights weights;
        char damaged[600];
        snprintf(damaged, sizeof damaged, "%s/damaged.safetensors", folder);
        if (weights_open(&weights, damaged))
            weights_close(&weights);
        else
            assert_int_equal(status_code(), STATUS_BAD_DATA);
        status_clear();
    }
    free(copy);
    file_map_close(&map);
}

static void test_write(void **state)
{
    (void)state;
    struct weights weights, again;
    char out[600], path[800];
    snprintf(out, sizeof out, "%s-out", folder);
    for (int sharded = 0; sharded < 2; sharded++) {
        if (sharded) shards_put("model-00002-of-00002.safetensors", "model.norm.weight", "");
        hf_put(folder, "generation_config.json", "{}", 2);
        hf_put(folder, "pytorch_model.bin", "x", 1);
        must(weights_open(&weights, folder));
        const struct tensor *down = weights_part(&weights, PART_FFN_DOWN, 1);
        float data[HF_DIM * HF_FFN];
        for (int i = 0; i < HF_DIM * HF_FFN; i++) data[i] = (float)i;
        struct replacement edit = {.tensor = down, .data = data, .dtype = DTYPE_F16};
        struct meta notes[] = {
            {.key = "oedit.run", .kind = META_TEXT, .text = "{\"a\": \"\xc3\xa9\"}"},
            {.key = "oedit.edits", .kind = META_U32, .u32 = 3}};
        must(weights_write(&weights, out, &edit, 1, notes, 2));
        must(weights_write(&weights, out, &edit, 1, notes, 2)); // over its own
        must(weights_open(&again, out));
        struct bytes note;
        must(weights_note(&again, "oedit.run", &note));
        assert_int_equal(note.size, strlen(notes[0].text));
        assert_memory_equal(note.data, notes[0].text, note.size);
        for (size_t i = 0; i < weights.count; i++) {
            const struct tensor *a = &weights.tensors[i], *b = weights_find(&again, a->name);
            assert_non_null(b);
            assert_int_equal(b->dtype, a == down ? DTYPE_F16 : DTYPE_F32);
            if (a != down) assert_memory_equal(a->data, b->data, a->bytes);
        }
        const struct safetensors *set = again.state;
        const cJSON *meta = cJSON_GetObjectItem(set->shards[sharded].header, "__metadata__");
        assert_string_equal(cJSON_GetObjectItem(meta, "mine")->valuestring, "kept");
        weights_close(&again);
        snprintf(path, sizeof path, "%s/generation_config.json", out);
        assert_int_equal(access(path, R_OK), 0);
        snprintf(path, sizeof path, "%s/pytorch_model.bin", out);
        assert_int_not_equal(access(path, R_OK), 0);
        assert_false(weights_write(&weights, folder, &edit, 1, notes, 2));
        assert_non_null(strstr(status_message(), "that is being read"));
        status_clear();
        edit.dtype = DTYPE_Q8_0;
        assert_false(weights_write(&weights, out, &edit, 1, notes, 2));
        status_clear();
        weights_close(&weights);
    }
    must(weights_open(&weights, folder));
    assert_false(weights_write(&weights, tiny_path(""), NULL, 0, NULL, 0)); // other people's files
    assert_non_null(strstr(status_message(), "wanted a new folder"));
    status_clear();
    weights_close(&weights);
}

static int set_up(void **state)
{
    (void)state;
    tiny_folder_new();
    folder_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[1100];
    snprintf(command, sizeof command, "rm -r '%s' '%s-out' 2>/dev/null", folder, folder);
    if (system(command)) status_clear();
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_write, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
