// GGUF files: written, read back, edited, and damaged in thousands of ways.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "io/gguf.h"
#include "io/half.h"
#include "io/tokenizer.h"
#include "ref_made.h"
#include "ref_must.h"

static char folder[256];

static const char *path_of(const char *name)
{
    static char paths[4][320];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *made_write(const struct made *made, const char *name)
{
    const char *path = path_of(name);
    must(gguf_write_new(path, made->metas, made->meta_count, made->tensors, made->tensor_count));
    return path;
}

static void must_open(struct weights *weights, const char *path)
{
    must(weights_open(weights, path));
}

// Opening must fail with STATUS_BAD_DATA and a sentence that has `words` in it.
static void must_refuse(const char *path, const char *words)
{
    struct weights weights;
    must_fail(weights_open(&weights, path), STATUS_BAD_DATA, words);
    weights_close(&weights);
}

static void made_refuse(struct made *made, const char *words)
{
    must_refuse(made_write(made, "refused.gguf"), words);
    free(made);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct made *made = made_new();
    struct weights weights;
    must_open(&weights, made_write(made, "round.gguf"));
    const struct config *config = &weights.config;
    assert_string_equal(config->arch, "llama");
    assert_int_equal(config->layers, LAYERS);
    assert_int_equal(config->dim, DIM);
    assert_int_equal(config->ffn, FFN);
    assert_int_equal(config->heads, HEADS);
    assert_int_equal(config->kv_heads, KV);
    assert_int_equal(config->head_dim, SIZE);
    assert_int_equal(config->vocab, VOCAB);
    assert_true(config->rope_interleaved && config->tied && !config->rope_freqs);
    assert_true(config->rope_base == 5000 && config->norm_eps == 1e-5f);
    for (size_t i = 0; i < made->tensor_count; i++) {
        const struct tensor *wanted = &made->tensors[i],
                            *got = weights_find(&weights, wanted->name);
        assert_non_null(got);
        assert_true(got->dtype == wanted->dtype && got->rows == wanted->rows &&
                    got->cols == wanted->cols && got->bytes == wanted->bytes);
        assert_memory_equal(got->data, wanted->data, wanted->bytes);
        assert_int_equal((uintptr_t)got->data % 32, 0);
    }
    assert_ptr_equal(weights_part(&weights, PART_FFN_DOWN, 1),
                     weights_find(&weights, "blk.1.ffn_down.weight"));
    assert_null(weights_part(&weights, PART_Q_BIAS, 0));
    assert_null(weights_find(&weights, "blk.2.ffn_down.weight"));
    struct vocab vocab;
    assert_true(weights_vocab(&weights, &vocab));
    assert_true(vocab.count == VOCAB && vocab.merge_count == 2 && vocab.bos == 0);
    assert_true(vocab.eos == -1 && vocab.add_bos && vocab.types[8] == TOKEN_USER_DEFINED);
    vocab_free(&vocab);
    vocab_free(&vocab);
    weights_close(&weights);
    weights_close(&weights);
    free(made);
}

static void test_hash(void **state)
{
    (void)state;
    struct made *made = made_new();
    struct weights weights;
    char first[33];
    must_open(&weights, made_write(made, "hash.gguf"));
    snprintf(first, sizeof first, "%s", weights_hash(&weights));
    assert_int_equal(strlen(first), 32);
    assert_string_equal(weights_hash(&weights), first);
    weights_close(&weights);
    made->data[5] ^= 1;
    must_open(&weights, made_write(made, "hash.gguf"));
    assert_string_not_equal(weights_hash(&weights), first);
    weights_close(&weights);
    free(made);
}

// Writes with no edit and no note: the very same bytes.
static void test_copy_is_identical(void **state)
{
    (void)state;
    struct made *made = made_new();
    struct weights weights;
    struct file_map a, b;
    made_u32(made, "general.alignment", 64);
    must_open(&weights, made_write(made, "source.gguf"));
    assert_true(weights_write(&weights, path_of("copy.gguf"), NULL, 0, NULL, 0));
    assert_true(file_map_open(&a, path_of("source.gguf")));
    assert_true(file_map_open(&b, path_of("copy.gguf")));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    file_map_close(&a);
    file_map_close(&b);
    weights_close(&weights);
    free(made);
}

static void edit_check(const struct weights *source, const struct weights *edited,
                       const struct tensor *changed, const float *values, enum dtype dtype)
{
    assert_int_equal(source->count, edited->count);
    for (size_t i = 0; i < source->count; i++) {
        const struct tensor *a = &source->tensors[i], *b = &edited->tensors[i];
        assert_string_equal(a->name, b->name);
        assert_true(a->rows == b->rows && a->cols == b->cols);
        assert_int_equal((uintptr_t)b->data % 32, 0);
        if (a != changed) {
            assert_true(a->dtype == b->dtype && a->bytes == b->bytes);
            assert_memory_equal(a->data, b->data, a->bytes);
            continue;
        }
        assert_int_equal(b->dtype, dtype);
        for (uint64_t j = 0; j < DIM * FFN; j++) {
            float value;
            uint16_t half;
            memcpy(&value, b->data + 4 * (dtype == DTYPE_F32 ? j : 0), sizeof value);
            memcpy(&half, b->data + 2 * j, sizeof half);
            if (dtype == DTYPE_F16) value = half_to_float(half);
            assert_true(dtype == DTYPE_F32
                            ? value == values[j]
                            : fabsf(value - values[j]) <= 0x1p-11f * fabsf(values[j]));
        }
    }
}

static void test_edited(void **state)
{
    (void)state;
    struct made *made = made_new();
    struct weights weights, edited;
    float values[DIM * FFN];
    for (int i = 0; i < DIM * FFN; i++) values[i] = (float)(int32_t)dice() * 0x1p-31f + 2;
    must_open(&weights, made_write(made, "source.gguf"));
    const struct tensor *down = weights_part(&weights, PART_FFN_DOWN, 1);
    const struct meta notes[] = {{.key = "oedit.note", .kind = META_TEXT, .text = "new"},
                                 {.key = "oedit.edits", .kind = META_U32, .u32 = 7},
                                 {.key = "oedit.lambda", .kind = META_F32, .f32 = 1500}};
    for (int turn = 0; turn < 2; turn++) {
        struct replacement edit = {down, values, turn ? DTYPE_F16 : DTYPE_F32};
        assert_true(weights_write(&weights, path_of("edited.gguf"), &edit, 1, notes, 3));
        must_open(&edited, path_of("edited.gguf"));
        edit_check(&weights, &edited, down, values, edit.dtype);
        const struct gguf *gguf = edited.state, *source = weights.state;
        struct bytes note;
        uint32_t count = 0;
        float lambda = 0;
        assert_true(gguf_get_text(gguf, "oedit.note", &note));
        assert_true(note.size == 3 && memcmp(note.data, "new", 3) == 0);
        assert_true(weights_note(&edited, "oedit.note", &note) && note.size == 3);
        assert_true(weights_note(&weights, "oedit.nothing", &note) && note.size == 0);
        assert_true(gguf_get_u32(gguf, "oedit.edits", &count) && count == 7);
        assert_true(gguf_get_f32(gguf, "oedit.lambda", &lambda) && lambda == 1500);
        assert_int_equal(gguf->key_count, source->key_count + 2);
        weights_close(&edited);
    }
    weights_close(&weights);
    free(made);
}

static void write_refused(const struct weights *weights, const char *path,
                          const struct replacement *edit, const char *words)
{
    assert_false(weights_write(weights, path, edit, 1, NULL, 0));
    if (!strstr(status_message(), words)) fail_msg("got: %s; wanted: %s", status_message(), words);
    status_clear();
}

static void test_write_refusals(void **state)
{
    (void)state;
    struct made *made = made_new();
    struct weights weights;
    float values[DIM * FFN] = {0};
    must_open(&weights, made_write(made, "source.gguf"));
    struct replacement edit = {weights_part(&weights, PART_FFN_DOWN, 0), values, DTYPE_F16};
    write_refused(&weights, path_of("source.gguf"), &edit, "it is the model that is being read");
    assert_int_equal(symlink("source.gguf", path_of("link.gguf")), 0);
    write_refused(&weights, path_of("link.gguf"), &edit, "it is the model that is being read");
    write_refused(&weights, path_of("none/out.gguf"), &edit, "No such file");
    values[FFN + 3] = 65520; // the first that rounds to infinity
    write_refused(
        &weights, path_of("out.gguf"), &edit,
        "tensor blk.0.ffn_down.weight has 65520 in row 1, column 3, wanted what fits into F16 "
        "(F32 holds it)");
    edit.dtype = DTYPE_F32;
    assert_true(weights_write(&weights, path_of("kept.gguf"), &edit, 1, NULL, 0));
    values[FFN + 3] = NAN;
    write_refused(&weights, path_of("out.gguf"), &edit, "nan in row 1, column 3, wanted a finite");
    assert_int_not_equal(access(path_of("out.gguf"), F_OK), 0);
    weights_close(&weights);
    free(made);
}

static void test_refused_models(void **state)
{
    (void)state;
    struct made *made = made_new();
    made_meta(made, "general.architecture")->text = "gemma";
    made_refuse(made, "architecture gemma, wanted llama or qwen2");
    made = made_new();
    made->tensor_count--;
    made_refuse(made, "tensor output_norm.weight is missing (wanted [1, 8])");
    made = made_new();
    made_find(made, "blk.1.attn_k.weight")->rows = 2;
    made_find(made, "blk.1.attn_k.weight")->bytes /= 2;
    made_refuse(made, "tensor blk.1.attn_k.weight has the shape [2, 8], wanted [4, 8]");
    made = made_new();
    made_find(made, "blk.1.attn_k.weight")->name = "blk.0.attn_k.weight";
    made_refuse(made, "tensor blk.0.attn_k.weight stands there twice");
    made = made_new();
    made_meta(made, "llama.block_count")->u32 = 1;
    made_refuse(made, "tensor blk.1.attn_norm.weight is no part of a llama model");
    made = made_new();
    made_meta(made, "llama.attention.head_count_kv")->u32 = 3;
    made_refuse(made, "share 3 key-value heads");
    made = made_new();
    made_meta(made, "llama.block_count")->key = "llama.other";
    made_refuse(made, "metadata llama.block_count is missing");
    made = made_new();
    made_text(made, "llama.rope.scaling.type", "yarn");
    made_refuse(made, "rope scaling of type yarn");
    made = made_new();
    made_u32(made, "llama.expert_count", 8);
    made_refuse(made, "a mixture of 8 experts");
    made = made_new();
    made_meta(made, "oedit.note")->key = "general.architecture";
    made_refuse(made, "metadata general.architecture stands there twice");
    made = made_new();
    made_meta(made, "llama.context_length")->kind = META_BOOL;
    made_refuse(made, "llama.context_length is of type bool, wanted an integer");
    must_refuse(path_of("nothing-there.gguf"), "No such file");
    must_refuse(folder, "holds no model: wanted model.safetensors");
}

// The file's bytes, to be damaged.
static uint8_t *bytes_of(const char *path, size_t *size)
{
    char *text;
    assert_true(file_read(path, &text, size));
    return (uint8_t *)text;
}

static void bytes_write(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

// Where the entry of a tensor goes on behind its name.
static uint8_t *entry_of(uint8_t *data, size_t size, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(data + i, name, length) == 0) return data + i + length;
    fail_msg("no entry of %s", name);
    return NULL;
}

static void test_refused_entries(void **state)
{
    (void)state;
    static const struct {
        size_t at; // behind the name: u32 dims, u64 cols, u64 rows, u32 type, u64 offset
        uint64_t value;
        size_t size;
        const char *words;
    } cases[] = {
        {20, 17, 4, "ffn_gate.weight has type IQ2_XS, wanted one of F32 F16 BF16"},
        {20, 99, 4, "ffn_gate.weight has type type 99, wanted one of"},
        {0, 5, 4, "has 5 dimensions, wanted 1 to 4"},
        {24, 1 << 30, 8, "ffn_gate.weight takes 1024 bytes at offset 1073741824"},
        {24, UINT64_MAX - 31, 8, "ffn_gate.weight takes 1024 bytes at offset"},
        {24, 33, 8, "lies at offset 33, wanted a multiple of 32"},
        {24, 0, 8, "the data of tensors"},
        {4, UINT64_MAX, 8, "has the shape"},
        {12, UINT64_MAX / 8, 8, "has the shape"},
        {12, 0, 8, "has the shape"},
    };
    struct made *made = made_new();
    size_t size;
    uint8_t *data = bytes_of(made_write(made, "entries.gguf"), &size);
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t kept[8], *at = entry_of(data, size, "blk.0.ffn_gate.weight") + cases[i].at;
        memcpy(kept, at, 8);
        memcpy(at, &cases[i].value, cases[i].size);
        bytes_write(path_of("damaged.gguf"), data, size);
        must_refuse(path_of("damaged.gguf"), cases[i].words);
        memcpy(at, kept, 8);
    }
    memcpy(data + 4, "\x00\x00\x00\x03", 4);
    bytes_write(path_of("damaged.gguf"), data, size);
    must_refuse(path_of("damaged.gguf"), "big-endian");
    memcpy(data + 4, "\x01\x00\x00\x00", 4);
    bytes_write(path_of("damaged.gguf"), data, size);
    must_refuse(path_of("damaged.gguf"), "version 1, wanted 2 or 3");
    bytes_write(path_of("damaged.gguf"), (const uint8_t *)"not a model", 11);
    must_refuse(path_of("damaged.gguf"), "is no model");
    free(data);
    free(made);
}

// A damaged file either opens, with all tensors inside of it, or is refused as bad data.
static void damaged_try(const char *path)
{
    struct weights weights;
    struct tokenizer tokenizer = {0};
    if (!weights_open(&weights, path)) {
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        status_clear();
        return;
    }
    const struct gguf *gguf = weights.state;
    const uint8_t *end = gguf->map.data + gguf->map.size;
    for (size_t i = 0; i < weights.count; i++)
        assert_true(weights.tensors[i].data > gguf->map.data &&
                    weights.tensors[i].bytes <= (uint64_t)(end - weights.tensors[i].data));
    if (tokenizer_open(&tokenizer, &weights)) {
        struct token_list list = {0};
        must(tokenizer_encode(&tokenizer, "abc <s> xa?!", 12, ENCODE_BOS, &list));
        token_list_free(&list);
    } else {
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        status_clear();
    }
    tokenizer_free(&tokenizer);
    weights_close(&weights);
}

static void test_truncated(void **state)
{
    (void)state;
    struct made *made = made_new();
    size_t size;
    uint8_t *data = bytes_of(made_write(made, "whole.gguf"), &size);
    const char *path = path_of("short.gguf");
    for (size_t i = 0; i < 400 + 64; i++) {
        size_t length = i < 400 ? i : size * (i - 400) / 64;
        bytes_write(path, data, length);
        struct weights weights;
        assert_false(weights_open(&weights, path));
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        assert_non_null(strstr(status_message(), path));
        status_clear();
    }
    free(data);
    free(made);
}

static void test_corrupted(void **state)
{
    (void)state;
    struct made *made = made_new();
    size_t size;
    uint8_t *data = bytes_of(made_write(made, "whole.gguf"), &size), kept[8];
    struct gguf gguf;
    assert_true(gguf_open(&gguf, path_of("whole.gguf")));
    size_t header = (size_t)gguf.data_at;
    gguf_close(&gguf);
    for (int turn = 0; turn < 4000; turn++) {
        size_t width = turn % 4 == 3 ? 8 : 1, at = dice() % (header - width);
        memcpy(kept, data + at, width);
        for (size_t i = 0; i < width; i++) // a byte by chance, or eight that make a large number
            data[at + i] = width == 1 ? (uint8_t)dice() : turn % 8 == 3 ? 0xff : (uint8_t)dice();
        bytes_write(path_of("corrupted.gguf"), data, size);
        damaged_try(path_of("corrupted.gguf"));
        memcpy(data + at, kept, width);
    }
    free(data);
    free(made);
}

static void test_halves(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) { // every half and bfloat goes round unchanged
        float half = half_to_float((uint16_t)i), bfloat = bfloat_to_float((uint16_t)i);
        if (!isnan(half)) assert_int_equal(half_from_float(half), i);
        if (!isnan(bfloat)) assert_int_equal(bfloat_from_float(bfloat), i);
    }
    assert_int_equal(half_from_float(1 + 0x1p-11f), 0x3c00); // tie: to even, down
    assert_int_equal(half_from_float(1 + 0x3p-11f), 0x3c02); // tie: to even, up
    assert_int_equal(half_from_float(65519.996f), 0x7bff);
    assert_int_equal(half_from_float(65520), 0x7c00);
    assert_int_equal(half_from_float(0x1p-25f), 0);
    assert_int_equal(half_from_float(0x1.000002p-25f), 1);
    assert_int_equal(half_from_float(-0x1.ffep-15f), 0x8400); // rounds up to a normal one
    assert_true(isnan(half_to_float(half_from_float(NAN))));
    assert_int_equal(bfloat_from_float(1 + 0x1p-8f), 0x3f80);
    assert_int_equal(bfloat_from_float(1 + 0x3p-8f), 0x3f82);
}

static int folder_make(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/oedit-gguf-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    static const char *const names[] = {
        "round.gguf", "hash.gguf",  "source.gguf",   "copy.gguf",    "edited.gguf",
        "link.gguf",  "kept.gguf",  "refused.gguf",  "entries.gguf", "damaged.gguf",
        "whole.gguf", "short.gguf", "corrupted.gguf"};
    for (size_t i = 0; i < COUNT(names); i++) unlink(path_of(names[i]));
    return rmdir(folder); // fails if a temporary file was left behind
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hash),           cmocka_unit_test(test_copy_is_identical),
        cmocka_unit_test(test_edited),         cmocka_unit_test(test_write_refusals),
        cmocka_unit_test(test_refused_models), cmocka_unit_test(test_refused_entries),
        cmocka_unit_test(test_truncated),      cmocka_unit_test(test_corrupted),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
