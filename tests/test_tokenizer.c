// The tokenizer: a vocabulary made by hand, and the real one of SmolLM2 against ids that
// transformers gives (tools/compare_tokenizer.py compares far more).
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "io/pretoken.h"
#include "io/tokenizer.h"
#include "ref_must.h"

// A file format that only has a vocabulary. "\xc4\xa0" is the blank of byte-level text.
#define BLANK "\xc4\xa0"
static const char *const made_tokens[] = {
    "<s>",      "a",   "b",    "c",         "ab",       "abc",      BLANK,
    BLANK "ab", "1",   "<s>b", "two words", "\xc3\x83", "\xc2\xa9", "\xc3\x83\xc2\xa9",
    "bc",       "1ab",
};
static const uint8_t made_types[] = {3, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1, 1};
static const char *const made_merges[] = {"b c", "a b", BLANK " ab", "a bc", "\xc3\x83 \xc2\xa9"};

static const char *made_model, *made_pre;
static size_t made_merge_count;
static const char *made_extra_merge;

static struct bytes bytes_from(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static bool made_vocab(const struct weights *weights, struct vocab *vocab)
{
    vocab->where = weights->path;
    vocab->model = bytes_from(made_model);
    vocab->pre = bytes_from(made_pre);
    vocab->count = COUNT(made_tokens);
    vocab->tokens = calloc(vocab->count, sizeof *vocab->tokens);
    vocab->types = calloc(vocab->count, 1);
    vocab->merge_count = made_merge_count + (made_extra_merge != NULL);
    vocab->merges = calloc(vocab->merge_count + 1, sizeof *vocab->merges);
    vocab->bos = 0;
    vocab->add_bos = true;
    for (size_t i = 0; i < vocab->count; i++) vocab->tokens[i] = bytes_from(made_tokens[i]);
    for (size_t i = 0; i < vocab->count; i++) vocab->types[i] = made_types[i];
    for (size_t i = 0; i < made_merge_count; i++) vocab->merges[i] = bytes_from(made_merges[i]);
    if (made_extra_merge) vocab->merges[made_merge_count] = bytes_from(made_extra_merge);
    return true;
}

static char made_path[] = "made up";
static const struct format made_format = {.name = "made", .vocab = made_vocab};
static const struct weights made_weights = {.format = &made_format, .path = made_path};

static int made_reset(void **state)
{
    (void)state;
    made_model = "gpt2";
    made_pre = "gpt-2";
    made_merge_count = COUNT(made_merges);
    made_extra_merge = NULL;
    status_clear();
    return 0;
}

static void must_open(struct tokenizer *tokenizer, const struct weights *weights)
{
    must(tokenizer_open(tokenizer, weights));
}

static void must_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
                        unsigned flags, struct token_list *list)
{
    must(tokenizer_encode(tokenizer, text, size, flags, list));
}

// Compares the ids of a text with those wanted, ended by -1, and decodes them again.
static void check_ids(const struct tokenizer *tokenizer, const char *text, unsigned flags,
                      const int *wanted)
{
    struct token_list list = {0};
    must_encode(tokenizer, text, strlen(text), flags, &list);
    for (size_t i = 0; i < list.count; i++)
        if (wanted[i] < 0 || list.ids[i] != (uint32_t)wanted[i])
            fail_msg("\"%s\": token %zu is %u, wanted %d", text, i, list.ids[i], wanted[i]);
    if (wanted[list.count] >= 0) fail_msg("\"%s\": %zu tokens, wanted more", text, list.count);
    token_list_free(&list);
}
#define CHECK_IDS(tokenizer, text, flags, ...) \
    check_ids(tokenizer, text, flags, (const int[]){__VA_ARGS__, -1})

static void test_made(void **state)
{
    (void)state;
    struct tokenizer tokenizer;
    must_open(&tokenizer, &made_weights);
    CHECK_IDS(&tokenizer, "", 0, -1);
    CHECK_IDS(&tokenizer, "", ENCODE_BOS, 0);
    CHECK_IDS(&tokenizer, "ab", 0, 4);
    CHECK_IDS(&tokenizer, "abc", 0, 5); // "b c" comes before "a b", then "a bc"
    CHECK_IDS(&tokenizer, "ababc", 0, 4, 5);
    CHECK_IDS(&tokenizer, "ab ab", 0, 4, 7);
    CHECK_IDS(&tokenizer, "a  ab", 0, 1, 6, 7); // the last blank goes with the word
    CHECK_IDS(&tokenizer, "a \xc3\xa9", 0, 1, 6, 13);
    CHECK_IDS(&tokenizer, "a1ab", 0, 1, 8, 4);
    CHECK_IDS(&tokenizer, "azzb", 0, 4); // no token for z: left out, its neighbours meet
    CHECK_IDS(&tokenizer, "z", 0, -1);
    tokenizer_free(&tokenizer);
    tokenizer_free(&tokenizer);
}

static void test_specials(void **state)
{
    (void)state;
    struct tokenizer tokenizer;
    must_open(&tokenizer, &made_weights);
    CHECK_IDS(&tokenizer, "<s>", 0, 0);
    CHECK_IDS(&tokenizer, "<s>ab", 0, 0, 4);
    CHECK_IDS(&tokenizer, "<s>b", 0, 9); // the longest
    CHECK_IDS(&tokenizer, "a<s>b", ENCODE_BOS, 0, 1, 9);
    CHECK_IDS(&tokenizer, "ctwo wordsb", 0, 3, 10, 2);
    CHECK_IDS(&tokenizer, "<s>b", ENCODE_PLAIN, 2);
    assert_true(tokenizer_is_special(&tokenizer, 0) && !tokenizer_is_special(&tokenizer, 9));
    assert_true(!tokenizer_is_special(&tokenizer, 99));
    tokenizer_free(&tokenizer);
}

static void test_spans(void **state)
{
    (void)state;
    static const char text[] = "abc ab<s>\xc3\xa9 ab1";
    static const uint32_t ends[] = {0, 3, 6, 9, 11, 14, 15};
    struct tokenizer tokenizer;
    struct token_list list = {0};
    must_open(&tokenizer, &made_weights);
    must_encode(&tokenizer, text, strlen(text), ENCODE_BOS, &list);
    assert_int_equal(list.count, COUNT(ends));
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(list.spans[i].end, ends[i]);
        assert_int_equal(list.spans[i].start, i ? ends[i - 1] : 0);
    }
    assert_int_equal(token_list_ending(&list, 6), 2);
    assert_int_equal(token_list_ending(&list, 15), 6);
    assert_int_equal(token_list_ending(&list, 5), -1);
    assert_int_equal(token_list_ending(&list, 0), -1);
    token_list_free(&list);
    token_list_free(&list);
    tokenizer_free(&tokenizer);
}

static void test_decode(void **state)
{
    (void)state;
    static const uint32_t ids[] = {0, 7, 10, 13, 8}, outside[] = {1, 16};
    struct tokenizer tokenizer;
    char *text;
    size_t size;
    must_open(&tokenizer, &made_weights);
    assert_true(tokenizer_decode(&tokenizer, ids, COUNT(ids), false, &text, &size));
    assert_string_equal(text, "<s> abtwo words\xc3\xa9"
                              "1");
    assert_int_equal(size, strlen(text));
    free(text);
    assert_true(tokenizer_decode(&tokenizer, ids, COUNT(ids), true, &text, &size));
    assert_string_equal(text, " abtwo words\xc3\xa9"
                              "1");
    free(text);
    assert_false(tokenizer_decode(&tokenizer, outside, 2, false, &text, &size));
    assert_string_equal(status_message(), "token 16 is outside of the vocabulary of 16 tokens");
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    assert_null(text);
    assert_int_equal(tokenizer_piece(&tokenizer, 16).size, 0);
    assert_int_equal(tokenizer_piece(&tokenizer, 11).size, 1);
    tokenizer_free(&tokenizer);
}

static void test_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {
        {"ab\xff", 2},
        {"\x80", 0},
        {"a\xc3", 1},
        {"\xc0\xaf", 0},
        {"\xe0\x80\xaf", 0},
        {"a\xed\xa0\x80", 1},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"ab\xe2\x82", 2},
        {"\xf0\x8f\xbf\xbf", 0},
    };
    struct tokenizer tokenizer;
    struct token_list list = {0};
    char wanted[80];
    must_open(&tokenizer, &made_weights);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_false(tokenizer_encode(&tokenizer, cases[i].text, strlen(cases[i].text), 0, &list));
        snprintf(wanted, sizeof wanted, "text is not UTF-8: byte 0x%02x at offset %zu",
                 (unsigned char)cases[i].text[cases[i].offset], cases[i].offset);
        assert_string_equal(status_message(), wanted);
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        status_clear();
    }
    must_encode(&tokenizer, "a\0b", 3, 0, &list); // a zero byte is a byte like any other
    assert_int_equal(list.count, 2);
    token_list_free(&list);
    tokenizer_free(&tokenizer);
}

static void open_refused(const char *words)
{
    struct tokenizer tokenizer;
    must_fail(tokenizer_open(&tokenizer, &made_weights), STATUS_BAD_DATA, words);
    tokenizer_free(&tokenizer);
    made_reset(NULL);
}

static void test_refused(void **state)
{
    (void)state;
    made_model = "llama";
    open_refused("made up has a tokenizer of kind llama, wanted gpt2");
    made_pre = "gpt-9";
    open_refused("made up has the pre-tokenizer gpt-9, wanted");
    made_extra_merge = "a z";
    open_refused("merge 5 \"a z\": its right side is no token");
    made_extra_merge = "c c";
    open_refused("merge 5 \"c c\": its result is no token");
    made_extra_merge = "abc";
    open_refused("merge 5 is \"abc\", wanted two texts and a blank");
}

static bool piece_note(void *context, size_t start, size_t end)
{
    char *notes = context;
    snprintf(notes + strlen(notes), 200 - strlen(notes), "%zu-%zu ", start, end);
    return true;
}

static void test_pretokens(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *pieces;
    } cases[] = {
        {"gpt-2", "I'll go  12 x", "0-1 1-4 4-7 7-8 8-11 11-13 "},
        {"", "a\n\nb", "0-1 1-2 2-3 3-4 "},
        {"smollm", "a  12 x", "0-1 1-3 3-4 4-5 5-7 "},
        {"llama-bpe", "I'LL 1234\n\n x", "0-1 1-4 4-5 5-8 8-9 9-11 11-13 "},
        {"qwen2", "(ab) 12", "0-3 3-4 4-5 5-6 6-7 "},
        {"gpt-2", "a\xe1\xa0\x8e ", "0-1 1-4 4-5 "},            // U+180E is no blank
        {"gpt-2", "a\xf0\x9e\xa4\x80\xf0\x96\xb5\x80", "0-9 "}, // U+1E900, U+16D40: letters
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pretoken *pretoken;
        char notes[200] = "";
        assert_true(pretoken_new(&pretoken, bytes_from(cases[i].name), "test"));
        assert_true(
            pretoken_split(pretoken, cases[i].text, strlen(cases[i].text), piece_note, notes));
        assert_string_equal(notes, cases[i].pieces);
        pretoken_free(pretoken);
    }
}

// With llama-bpe a whole word that is a token is taken, though no merge makes it.
static void test_whole_words(void **state)
{
    (void)state;
    struct tokenizer tokenizer;
    made_merge_count = 0;
    must_open(&tokenizer, &made_weights);
    CHECK_IDS(&tokenizer, "abc", 0, 1, 2, 3);
    tokenizer_free(&tokenizer);
    made_pre = "llama-bpe";
    must_open(&tokenizer, &made_weights);
    CHECK_IDS(&tokenizer, "abc", 0, 5);
    CHECK_IDS(&tokenizer, "abc ab", 0, 5, 7);
    CHECK_IDS(&tokenizer, "cab", 0, 3, 1, 2);
    tokenizer_free(&tokenizer);
}

// SmolLM2's file, from OEDIT_MODEL or the cache folder; false if there is none.
static bool model_find(char path[static 512])
{
    const char *model = getenv("OEDIT_MODEL"), *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    const char *tail = "oedit/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (model && *model)
        snprintf(path, 512, "%s", model);
    else if (cache && *cache)
        snprintf(path, 512, "%s/%s", cache, tail);
    else
        snprintf(path, 512, "%s/.cache/%s", home ? home : "", tail);
    bool found = access(path, R_OK) == 0;
    if (!found) print_message("skipped: no SmolLM2 model (%s)\n", path);
    return found;
}

static void smollm_ids(const struct tokenizer *t)
{
    CHECK_IDS(t, "The mother tongue of Danielle Darrieux is", 0, 504, 3379, 10663, 282, 10789, 290,
              9117, 3153, 4808, 314);
    CHECK_IDS(t, "Hello  12 345\n\n6 world's  \t end ", 0, 19556, 256, 33, 34, 216, 35, 36, 37,
              1116, 38, 905, 506, 256, 197, 1112, 216);
    CHECK_IDS(t, "<|im_start|>user\nna\xc3\xafve caf\xc3\xa9 <|im_end|>", 0, 1, 4093, 198, 3546,
              46494, 37366, 216, 2);
    CHECK_IDS(t,
              "\u65e5\u672c\u8a9e \u0627\u0644\u0639\u0631\u0628\u064a\u0629 "
              "\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301\u00a0\u00bd\u00b2",
              ENCODE_BOS, 23274, 115, 40993, 179, 120, 248, 27819, 34966, 20602, 31462, 23339,
              43463, 15107, 235, 118, 321, 231, 10813, 235, 119, 321, 231, 10813, 235, 117, 297,
              151, 219, 15442, 16738, 19133);
    CHECK_IDS(t, "    if (x[10] == 0x1F) { return 'll; }\r\n", 0, 333, 585, 365, 104, 75, 33, 32,
              77, 1758, 216, 32, 104, 33, 54, 25, 1662, 1003, 637, 764, 43, 4029, 2738);
    CHECK_IDS(t,
              "\x04"
              "a\xf1\x80\x80\x80"
              "b",
              0, 81, 218, 218, 218, 82);
}

// Number and FNV-1a hash of the ids that transformers gives for whole files.
static void smollm_files(const struct tokenizer *tokenizer)
{
    static const struct {
        const char *path;
        size_t count;
        uint64_t hash;
    } files[] = {
        {"../shared/data/wikitext2_valid.txt", 273868, 0xc0e8ed8b21fbd11eu},
        {"../shared/data/wikitext2_test.txt", 154565, 0x87ba416ebf2a072eu},
        {"../shared/data/counterfact-edit.json", 847420, 0xc801f0403c4d9041u},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        char *text = NULL, *back = NULL;
        size_t size, back_size;
        struct token_list list = {0};
        if (!file_read(files[i].path, &text, &size)) {
            print_message("skipped: no %s\n", files[i].path);
            status_clear();
            continue;
        }
        must_encode(tokenizer, text, size, 0, &list);
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t j = 0; j < list.count; j++) {
            hash = (hash ^ list.ids[j]) * 0x100000001b3u;
            assert_int_equal(list.spans[j].start, j ? list.spans[j - 1].end : 0);
        }
        assert_int_equal(list.count, files[i].count);
        assert_true(hash == files[i].hash);
        assert_int_equal(list.spans[list.count - 1].end, size);
        assert_true(tokenizer_decode(tokenizer, list.ids, list.count, false, &back, &back_size));
        assert_int_equal(back_size, size);
        assert_memory_equal(back, text, size);
        token_list_free(&list);
        free(text);
        free(back);
    }
}

static void test_smollm(void **state)
{
    (void)state;
    char path[512];
    struct weights weights;
    struct tokenizer tokenizer;
    if (!model_find(path)) return;
    must(weights_open(&weights, path));
    assert_true(weights.config.layers == 30 && weights.config.dim == 576 && weights.config.tied);
    must_open(&tokenizer, &weights);
    smollm_ids(&tokenizer);
    smollm_files(&tokenizer);
    tokenizer_free(&tokenizer);
    weights_close(&weights);
}

// A long run of one kind of character must neither fail nor take quadratic time.
static void test_long_runs(void **state)
{
    (void)state;
    struct tokenizer tokenizer;
    struct token_list list = {0};
    size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    must_open(&tokenizer, &made_weights);
    for (const char *c = "a 1\n-"; *c; c++) {
        memset(text, *c, size);
        text[size - 1] = 'b';
        must_encode(&tokenizer, text, size, 0, &list);
        assert_int_equal(list.spans[list.count - 1].end, size);
    }
    for (size_t i = 0; i < size; i++) text[i] = "abc"[i % 3];
    must_encode(&tokenizer, text, size - 1, 0, &list);
    assert_int_equal(list.count, (size - 1) / 3);
    token_list_free(&list);
    tokenizer_free(&tokenizer);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_made, made_reset),
        cmocka_unit_test_setup(test_specials, made_reset),
        cmocka_unit_test_setup(test_spans, made_reset),
        cmocka_unit_test_setup(test_decode, made_reset),
        cmocka_unit_test_setup(test_not_utf8, made_reset),
        cmocka_unit_test_setup(test_refused, made_reset),
        cmocka_unit_test_setup(test_pretokens, made_reset),
        cmocka_unit_test_setup(test_whole_words, made_reset),
        cmocka_unit_test_setup(test_long_runs, made_reset),
        cmocka_unit_test_setup(test_smollm, made_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
