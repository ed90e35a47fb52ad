#define _POSIX_C_SOURCE 200809L
// The files in the program: byte for byte those of assets/, and read like any other file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/status.h"
#include "io/gguf.h"
#include "io/tokenizer.h"
#include "ref_must.h"
#include "ref_tiny.h"

static int start(void **state)
{
    (void)state;
    tiny_folder_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    tiny_folder_remove();
    return 0;
}

static void same_bytes(const char *left, const char *right)
{
    struct file_map a, b;
    assert_true(file_map_open(&a, left));
    assert_true(file_map_open(&b, right));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    file_map_close(&a);
    file_map_close(&b);
    file_map_close(&a); // twice, as everything
}

static void test_bytes(void **state)
{
    (void)state;
    same_bytes(EMBEDDED_MODEL, "assets/demo.gguf");
    same_bytes(EMBEDDED_REQUESTS, "assets/demo.json");
    same_bytes(EMBEDDED_TEXT, "assets/demo.txt");
    char *text = NULL;
    size_t size = 0;
    assert_true(file_read(EMBEDDED_TEXT, &text, &size));
    assert_int_equal(strlen(text), size);
    free(text);
}

// Only these names, and no file of the host goes by them.
static void test_names(void **state)
{
    (void)state;
    struct file_map map;
    assert_null(embedded_find("demo"));
    assert_null(embedded_find("demo.gguf"));
    assert_null(embedded_find("oedit:/other.gguf"));
    assert_true(file_there(EMBEDDED_MODEL));
    assert_true(file_there("assets/demo.gguf"));
    assert_false(file_there("oedit:/other.gguf"));
    assert_false(file_map_open(&map, "oedit:/other.gguf"));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    status_clear();
}

// Opened from memory it is the model of the file: shape, hash, tokens, and an edited copy.
static void test_model(void **state)
{
    (void)state;
    const char *const paths[] = {EMBEDDED_MODEL, "assets/demo.gguf"},
               *const copies[] = {"memory.gguf", "file.gguf"};
    char hash[2][33];
    float *data = NULL;
    for (int i = 0; i < 2; i++) {
        struct weights w;
        struct tokenizer t;
        struct token_list list = {0};
        assert_true(weights_open(&w, paths[i]));
        assert_string_equal(w.config.arch, "llama");
        assert_true(w.config.tied);
        assert_non_null(weights_hash(&w));
        memcpy(hash[i], w.hash, sizeof hash[i]);
        assert_true(tokenizer_open(&t, &w));
        assert_true(tokenizer_encode(&t, "Anna lives in Rome.", 19, 0, &list));
        assert_in_range(list.count, 4, 18);
        const struct tensor *down = weights_part(&w, PART_FFN_DOWN, 1);
        size_t n = (size_t)(down->rows * down->cols);
        if (!data) data = calloc(n, sizeof *data);
        assert_non_null(data);
        data[n - 1] = 0.5f;
        struct replacement edit = {.tensor = down, .data = data, .dtype = DTYPE_F32};
        assert_true(weights_write(&w, tiny_path(copies[i]), &edit, 1, NULL, 0));
        token_list_free(&list);
        tokenizer_free(&t);
        weights_close(&w);
    }
    free(data);
    assert_string_equal(hash[0], hash[1]);
    char *memory = strdup(tiny_path(copies[0]));
    same_bytes(memory, tiny_path(copies[1]));
    free(memory);
    struct weights w; // the copy can be opened
    assert_true(weights_open(&w, tiny_path(copies[0])));
    assert_true(strcmp(weights_hash(&w), hash[0]) != 0);
    weights_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, start, end);
}
