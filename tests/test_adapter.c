// Edits as LoRA adapters: what truncation loses against double precision, and the files as a
// stranger reads them.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "io/adapter.h"
#include "io/gguf.h"
#include "linalg/low_rank.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_tiny.h"

enum { PAIRS = 7, ROWS = 48, COLS = 72, RANK = 3 };

static struct device device;
static uint64_t seed = 3;

// Pairs as a run leaves them: some large, some small, one twice.
static void pairs_fill(float *x, float *y)
{
    for (int t = 0; t < PAIRS; t++) {
        double scale = pow(0.4, t);
        for (int i = 0; i < ROWS; i++) x[t * ROWS + i] = (float)(scale * ref_uniform(&seed));
        for (int i = 0; i < COLS; i++) y[t * COLS + i] = (float)ref_uniform(&seed);
    }
    memcpy(x + 4 * ROWS, x + 2 * ROWS, ROWS * sizeof *x);
    memcpy(y + 4 * COLS, y + 2 * COLS, COLS * sizeof *y);
}

static void test_truncation(void **state)
{
    float x[PAIRS * ROWS], y[PAIRS * COLS], sum[ROWS * COLS], a[PAIRS * COLS], b[ROWS * PAIRS];
    double sigma[ROWS];
    struct buffer *xs = NULL, *ys = NULL;
    (void)state;
    pairs_fill(x, y);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) {
            double all = 0;
            for (int t = 0; t < PAIRS; t++)
                all += (double)x[t * ROWS + i] * (double)y[t * COLS + j];
            sum[i * COLS + j] = (float)all;
        }
    ref_svd(sum, ROWS, COLS, sigma, NULL);
    double norm = 0;
    for (int i = ROWS; i-- > 0;) norm = hypot(norm, sigma[i]);
    assert_true(buffer_from(&device, x, sizeof x, "test", &xs));
    assert_true(buffer_from(&device, y, sizeof y, "test", &ys));
    for (uint32_t rank = 1; rank <= PAIRS; rank++) {
        struct low_rank report = {0};
        memset(a, 0, sizeof a);
        memset(b, 0, sizeof b);
        assert_true(low_rank(&device, xs, ys, PAIRS, ROWS, COLS, rank, a, b, &report));
        assert_int_equal(report.rank, rank < PAIRS - 1 ? rank : PAIRS - 1); // one stands twice
        double lost = 0, left = 0;
        for (uint32_t i = ROWS; i-- > rank;) lost = hypot(lost, sigma[i]);
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < COLS; j++) {
                double made = 0;
                for (uint32_t k = 0; k < report.rank; k++)
                    made += (double)b[(uint32_t)i * report.rank + k] *
                            (double)a[k * COLS + (uint32_t)j];
                left = hypot(left, made - (double)sum[i * COLS + j]);
            }
        // 100 eps of the largest: what svd.h promises, and the rounding of the factors.
        assert_true(fabs(report.norm - norm) <= 100 * 0x1p-24 * norm);
        assert_true(fabs(report.lost - lost) <= 100 * 0x1p-24 * norm);
        assert_true(fabs(left - lost) <= 100 * 0x1p-24 * norm);
    }
    buffer_free(&device, &xs);
    buffer_free(&device, &ys);
}

static float factor_a[2][RANK * COLS], factor_b[2][ROWS * RANK];
static const struct adapter_part parts[] = {
    {.layer = 3, .rows = ROWS, .cols = COLS, .a = factor_a[0], .b = factor_b[0]},
    {.layer = 11, .rows = ROWS, .cols = COLS, .a = factor_a[1], .b = factor_b[1]},
};
static const struct adapter adapter = {
    .architecture = "llama", .base = "model.gguf", .hash = "00112233445566778899aabbccddeeff",
    .rank = RANK, .parts = parts, .count = 2,
};

static void entry_is(const struct gguf *gguf, size_t i, const char *name, uint64_t rows,
                     uint64_t cols, const float *want)
{
    const struct gguf_entry *e = &gguf->entries[i];
    assert_int_equal(e->name.size, strlen(name));
    assert_memory_equal(e->name.data, name, e->name.size);
    assert_int_equal(e->dims, 2);
    assert_int_equal(e->ne[0], cols);
    assert_int_equal(e->ne[1], rows);
    assert_int_equal(gguf_type_dtype(e->type), DTYPE_F32);
    assert_memory_equal(gguf->map.data + gguf->data_at + e->at, want, 4 * rows * cols);
}

// What llama.cpp asks of an adapter: its kind, alpha, and pairs of tensors by the base's names.
static void test_gguf(void **state)
{
    const struct weights weights = {.format = &format_gguf};
    struct gguf gguf = {0};
    struct bytes text = {0};
    float alpha = 0;
    (void)state;
    assert_true(adapter_write_gguf(&adapter, &weights, tiny_path("lora.gguf")));
    assert_true(gguf_open(&gguf, tiny_path("lora.gguf")));
    static const char *const texts[][2] = {{"general.type", "adapter"},
                                           {"adapter.type", "lora"},
                                           {"general.architecture", "llama"}};
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_true(gguf_get_text(&gguf, texts[i][0], &text));
        assert_int_equal(text.size, strlen(texts[i][1]));
        assert_memory_equal(text.data, texts[i][1], text.size);
    }
    assert_true(gguf_get_f32(&gguf, "adapter.lora.alpha", &alpha));
    assert_true(alpha == RANK); // alpha / rank = 1
    assert_int_equal(gguf.entry_count, 4);
    entry_is(&gguf, 0, "blk.3.ffn_down.weight.lora_a", RANK, COLS, factor_a[0]);
    entry_is(&gguf, 1, "blk.3.ffn_down.weight.lora_b", ROWS, RANK, factor_b[0]);
    entry_is(&gguf, 2, "blk.11.ffn_down.weight.lora_a", RANK, COLS, factor_a[1]);
    entry_is(&gguf, 3, "blk.11.ffn_down.weight.lora_b", ROWS, RANK, factor_b[1]);
    gguf_close(&gguf);
}

static void tensor_is(const cJSON *header, const char *data, const char *name, uint32_t rows,
                      uint32_t cols, const float *want)
{
    const cJSON *tensor = cJSON_GetObjectItemCaseSensitive(header, name);
    assert_non_null(tensor);
    const cJSON *shape = cJSON_GetObjectItem(tensor, "shape");
    const cJSON *place = cJSON_GetObjectItem(tensor, "data_offsets");
    assert_string_equal(cJSON_GetObjectItem(tensor, "dtype")->valuestring, "F32");
    assert_int_equal(cJSON_GetArrayItem(shape, 0)->valueint, rows);
    assert_int_equal(cJSON_GetArrayItem(shape, 1)->valueint, cols);
    int from = cJSON_GetArrayItem(place, 0)->valueint, to = cJSON_GetArrayItem(place, 1)->valueint;
    assert_int_equal(to - from, 4 * rows * cols);
    assert_memory_equal(data + from, want, 4 * rows * cols);
}

static void test_peft(void **state)
{
    char *text;
    size_t size;
    (void)state;
    assert_true(adapter_write_peft(&adapter, tiny_path("peft")));
    assert_true(file_read(tiny_path("peft/adapter_config.json"), &text, &size));
    cJSON *config = cJSON_Parse(text);
    assert_non_null(config);
    assert_string_equal(cJSON_GetObjectItem(config, "peft_type")->valuestring, "LORA");
    assert_int_equal(cJSON_GetObjectItem(config, "r")->valueint, RANK);
    assert_int_equal(cJSON_GetObjectItem(config, "lora_alpha")->valueint, RANK);
    const cJSON *layers = cJSON_GetObjectItem(config, "layers_to_transform");
    assert_int_equal(cJSON_GetArraySize(layers), 2);
    assert_int_equal(cJSON_GetArrayItem(layers, 0)->valueint, 3);
    assert_int_equal(cJSON_GetArrayItem(layers, 1)->valueint, 11);
    cJSON_Delete(config);
    free(text);

    assert_true(file_read(tiny_path("peft/adapter_model.safetensors"), &text, &size));
    uint64_t bytes = 0;
    memcpy(&bytes, text, sizeof bytes);
    assert_true(bytes % 8 == 0 && bytes < size); // the data is aligned
    cJSON *header = cJSON_ParseWithLength(text + 8, bytes);
    assert_non_null(header);
    const char *data = text + 8 + bytes;
    for (uint32_t i = 0; i < 2; i++) {
        char name[100];
        const char *stem = "base_model.model.model.layers";
        snprintf(name, sizeof name, "%s.%u.mlp.down_proj.lora_A.weight", stem, parts[i].layer);
        tensor_is(header, data, name, RANK, COLS, factor_a[i]);
        snprintf(name, sizeof name, "%s.%u.mlp.down_proj.lora_B.weight", stem, parts[i].layer);
        tensor_is(header, data, name, ROWS, RANK, factor_b[i]);
    }
    assert_int_equal(size - 8 - bytes, sizeof factor_a + sizeof factor_b);
    cJSON_Delete(header);
    free(text);
}

static void test_refusals(void **state)
{
    char name[4200];
    (void)state;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    assert_false(adapter_write_peft(&adapter, name));
    assert_int_equal(status_code(), STATUS_USAGE);
    assert_false(adapter_write_peft(&adapter, tiny_path("lora.gguf"))); // a file, not a folder
    struct gguf gguf = {0};
    assert_true(gguf_open(&gguf, tiny_path("lora.gguf"))); // which is as it was
    gguf_close(&gguf);
}

static int group_new(void **state)
{
    (void)state;
    tiny_folder_new();
    ref_open(&device);
    for (size_t i = 0; i < RANK * COLS; i++)
        for (int part = 0; part < 2; part++) factor_a[part][i] = (float)ref_uniform(&seed);
    for (size_t i = 0; i < RANK * ROWS; i++)
        for (int part = 0; part < 2; part++) factor_b[part][i] = (float)ref_uniform(&seed);
    return 0;
}

static int group_free(void **state)
{
    (void)state;
    device_close(&device);
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation), cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_peft), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, group_new, group_free);
}
