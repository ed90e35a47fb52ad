// What shards rest on: the tree of sums gives the same bits however its leaves are dealt out, and
// sums of double precision within their bound; files of parts with right checksums and wrong
// contents are refused, each by name.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "edit/tree.h"
#include "io/part.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { ROWS = 37, COLS = 37, N = ROWS * COLS, MOST = 200 };

// ---- the tree ----

struct heap { // what batches bring
    uint32_t batches;
    float *sums; // [batches, N]
};

static bool above(uint32_t i)
{
    return i % COLS > i / COLS;
}

// One shard's leaves; *waited: sums that were on the host together at most.
static void shard_sum(struct tree *t, const struct heap *h, uint32_t first, uint32_t end,
                      uint32_t *waited)
{
    float *leaf = calloc(N, sizeof *leaf);
    assert_non_null(leaf);
    for (uint32_t i = first; i < end; i++) {
        uint32_t begin, stop, waiting = 0;
        tree_leaf(i, h->batches, &begin, &stop);
        memset(leaf, 0, N * sizeof *leaf);
        for (uint32_t b = begin; b < stop; b++)
            for (uint32_t k = 0; k < N; k++) leaf[k] += h->sums[b * N + k];
        if (begin < stop) must(buffer_write(t->dev, t->sum, 0, leaf, N * sizeof *leaf));
        must(tree_put(t, i, 1, begin < stop));
        assert_true(t->count <= TREE_NODES);
        for (uint32_t k = 0; k < t->count; k++) waiting += t->nodes[k].sum != NULL;
        if (waiting > *waited) *waited = waiting;
    }
    free(leaf);
}

static float *taken(struct tree *t)
{
    struct buffer *sum = NULL;
    float *host = calloc(N, sizeof *host);
    must(host && tree_take(t, &sum) && buffer_read(t->dev, sum, 0, host, N * sizeof *host));
    buffer_free(t->dev, &sum);
    tree_free(t);
    tree_free(t); // twice
    return host;
}

static float *joined(struct rig *rig, const struct heap *h, uint32_t n, bool lower)
{
    struct tree whole, part;
    must(tree_new(&whole, rig->dev, ROWS, COLS, lower));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t waited = 0, first = TREE_LEAVES * i / n, end = TREE_LEAVES * (i + 1) / n,
                 at = first;
        must(tree_new(&part, rig->dev, ROWS, COLS, lower));
        shard_sum(&part, h, first, end, &waited);
        must(tree_fetch(&part));
        for (uint32_t k = 0; k < part.count; k++) {
            const struct tree_node *node = &part.nodes[k];
            assert_int_equal(node->first, at);
            assert_int_equal(node->count, tree_node_at(at, end));
            assert_int_equal(node->sum != NULL, tree_filled(at, node->count, h->batches));
            if (node->sum) must(tree_load(&whole, node->sum));
            must(tree_put(&whole, node->first, node->count, node->sum != NULL));
            at += node->count;
        }
        assert_int_equal(at, end);
        tree_free(&part);
    }
    return taken(&whole);
}

static void test_tree(void **state)
{
    struct rig *rig = *state;
    static const uint32_t batches[] = {1, 2, 3, 5, 40, 63, 64, 65, MOST},
                          shards[] = {1, 2, 3, 7, 64};
    struct heap h = {.sums = rig_random(rig, (uint64_t)MOST * N, 1)};
    for (size_t b = 0; b < COUNT(batches); b++)
        for (int lower = 0; lower < 2; lower++) {
            struct tree t;
            uint32_t waited = 0;
            h.batches = batches[b];
            must(tree_new(&t, rig->dev, ROWS, COLS, lower));
            assert_int_equal(t.kept, lower ? N / 2 + ROWS / 2 + 1 : N);
            shard_sum(&t, &h, 0, TREE_LEAVES, &waited);
            assert_int_equal(waited, tree_waiting(h.batches));
            float *whole = taken(&t);
            for (uint32_t i = 0; i < N; i++) {
                double sum = 0, size = 0;
                for (uint32_t k = 0; k < h.batches; k++) {
                    sum += (double)h.sums[k * N + i];
                    size += fabs((double)h.sums[k * N + i]);
                }
                // Leaves have up to 4 batches, and 6 levels are above them.
                if (!lower || !above(i))
                    assert_true(fabs((double)whole[i] - sum) <= 10 * RIG_EPS * size);
            }
            for (size_t s = 0; s < COUNT(shards); s++) {
                float *parts = joined(rig, &h, shards[s], lower);
                for (uint32_t i = 0; i < N; i++)
                    if (!lower || !above(i)) assert_memory_equal(&parts[i], &whole[i], 4);
                free(parts);
            }
            free(whole);
        }
    free(h.sums);
    struct tree t; // no text at all
    must(tree_new(&t, rig->dev, ROWS, COLS, false) && tree_put(&t, 0, TREE_LEAVES, false));
    float *none = taken(&t);
    for (uint32_t i = 0; i < N; i++) assert_true(none[i] == 0);
    free(none);
}

// ---- files ----

static const char *write_part(const char *name, const char *about, const void *numbers,
                              uint64_t bytes)
{
    const char *path = tiny_path(name);
    struct part_out out;
    cJSON *root = cJSON_Parse(about);
    assert_non_null(root);
    must(part_start(&out, path, root) && part_add(&out, numbers, bytes));
    must(part_end(&out, true));
    cJSON_Delete(root);
    return path;
}

// oedit merge of one part; what it says.
static const char *merged(const char *path)
{
    const struct args args = {.words = &path, .word_count = 1};
    status_clear();
    return command_merge(&args) ? "" : status_message();
}

#define STATS "\"command\":\"stats\",\"version\":\"" OEDIT_VERSION "\",\"precision\":\"strict\"," \
              "\"model\":\"00ff\",\"seed\":\"0\",\"text\":\"12ab\",\"tokens\":9,\"block\":9," \
              "\"statements\":0,\"batches\":1,"
#define EVAL "\"command\":\"eval\",\"version\":\"" OEDIT_VERSION "\",\"precision\":\"strict\","
#define WHOLE64 "\"first\":0,\"end\":64}"

// `of`'s members but for those that are wrong; right checksums.
static void test_hostile(void **state)
{
    static const float c[] = {2, 1, 2};
    static const struct {
        const char *about, *said;
        uint64_t bytes;
    } cases[] = {
        {"{}", "wanted an object 'of'", 0},
        {"{\"of\":[]}", "wanted an object 'of'", 0},
        {"{\"of\":{}}", "its 'whole' is not", 0},
        {"{\"of\":{\"whole\":0},\"first\":0,\"end\":0}", "its 'whole' is not", 0},
        {"{\"of\":{\"whole\":1.5},\"first\":0,\"end\":1}", "its 'whole' is not", 0},
        {"{\"of\":{\"whole\":1e300},\"first\":0,\"end\":1}", "its 'whole' is not", 0},
        {"{\"of\":{\"whole\":64},\"first\":3,\"end\":2}", "are no range of 64", 0},
        {"{\"of\":{\"whole\":64},\"first\":0,\"end\":65}", "are no range of 64", 0},
        {"{\"of\":{\"whole\":64},\"first\":-1,\"end\":6}", "are no range of 64", 0},
        {"{\"of\":{\"whole\":64},\"first\":\"0\",\"end\":6}", "are no range of 64", 0},
        {"{\"of\":{\"whole\":64}," WHOLE64, "its 'version' is not a text", 0},
        {"{\"of\":{\"whole\":64,\"version\":\"0.0\"}," WHOLE64, "got a part of oedit 0.0", 0},
        {"{\"of\":{\"whole\":64,\"version\":\"" OEDIT_VERSION "\"}," WHOLE64, "'command'", 0},
        {"{\"of\":{\"whole\":64,\"version\":\"" OEDIT_VERSION "\",\"command\":\"edit\"}," WHOLE64,
         "got a part of oedit edit", 0},
        {"{\"of\":{" STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":0}," WHOLE64, "'ffn'", 0},
        {"{\"of\":{" STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":65536}," WHOLE64, "'ffn'",
         0},
        {"{\"of\":{" STATS "\"whole\":65,\"layer\":0,\"dim\":2,\"ffn\":2},\"first\":0,\"end\":65}",
         "'whole'", 0},
        {"{\"of\":{" STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":2}," WHOLE64, "'ridge'", 0},
        {"{\"of\":{" STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":2,\"ridge\":-1}," WHOLE64,
         "'ridge'", 12},
        {"{\"of\":{" STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":2,\"ridge\":0}," WHOLE64,
         "has 8 bytes of sums, wanted 12", 8},
        {"{\"of\":{" STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":60000,\"ridge\":0}," WHOLE64,
         "has 12 bytes of sums, wanted 7200120000", 12},
        {"{\"of\":{" STATS
         "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":2,\"model\":\"../x\"}," WHOLE64,
         "'ridge'", 12}, // the first member of a name is taken
        {"{\"of\":{\"command\":\"grad\",\"version\":\"" OEDIT_VERSION "\",\"model\":\"../../x\","
         "\"whole\":64}," WHOLE64,
         "its 'model' is not such a text", 0},
        {"{\"of\":{\"command\":\"grad\"," STATS "\"whole\":64,\"layer\":0,\"dim\":2,\"ffn\":2,"
         "\"directions\":3}," WHOLE64,
         "'directions'", 0},
        {"{\"of\":{" EVAL "\"whole\":3,\"requests\":4},\"first\":0,\"end\":3}", "'requests'", 0},
        {"{\"of\":{" EVAL "\"whole\":3,\"requests\":3,\"tokens\":0,\"block\":0,\"measures\":"
         "\"ppl\"},\"first\":0,\"end\":3}",
         "its 'measures' is 'ppl'", 0},
        {"{\"of\":{" EVAL "\"whole\":3,\"requests\":3,\"tokens\":9,\"block\":1,\"measures\":"
         "\"rel\"},\"first\":0,\"end\":3}",
         "'block'", 0},
        {"{\"of\":{" EVAL "\"whole\":3,\"requests\":3,\"tokens\":9,\"block\":5,\"measures\":"
         "\"rel\"},\"first\":0,\"end\":3}",
         "3 requests and 2 blocks of text are not 3", 0},
        {"{\"of\":{" EVAL "\"whole\":3,\"requests\":3,\"tokens\":0,\"block\":0,\"measures\":"
         "\"rel\"},\"first\":0,\"end\":3}",
         "has 12 bytes of numbers, wanted 48", 12},
        {"{\"of\":{" EVAL "\"whole\":4294967295,\"requests\":4294967295,\"tokens\":0,\"block\":0,"
         "\"measures\":\"rel\"},\"first\":0,\"end\":4294967295}",
         "bytes of numbers, wanted", 12},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *path = write_part("hostile.part", cases[i].about, c, cases[i].bytes);
        const char *said = merged(path);
        if (!strstr(said, cases[i].said))
            fail_msg("%s: '%s', wanted '%s'", cases[i].about, said, cases[i].said);
        assert_int_equal(status_code(), STATUS_BAD_DATA);
    }
}

// The frame itself: lengths that lie, with a right checksum (taken from the message).
static void test_frame(void **state)
{
    static const uint64_t lengths[] = {0, 1, 8, 25, 4096, UINT64_MAX, UINT64_MAX - 15, 1ull << 40};
    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const char *path = write_part("frame.part", "{\"of\":{\"whole\":1}}", "12345678", 8);
        FILE *file = fopen(path, "r+b");
        struct part_file part;
        unsigned long long sum = 0;
        assert_non_null(file);
        assert_true(fseek(file, 8, SEEK_SET) == 0 && fwrite(&lengths[i], 8, 1, file) == 1);
        assert_int_equal(fclose(file), 0);
        status_clear();
        assert_false(part_open(&part, path));
        const char *at = strstr(status_message(), "with checksum ");
        assert_non_null(at);
        assert_int_equal(sscanf(at, "with checksum %llx", &sum), 1);
        file = fopen(path, "r+b");
        assert_non_null(file);
        assert_true(fseek(file, -8, SEEK_END) == 0 && fwrite(&sum, 8, 1, file) == 1);
        assert_int_equal(fclose(file), 0);
        status_clear();
        assert_false(part_open(&part, path));
        if (strstr(status_message(), "checksum")) fail_msg("%s", status_message());
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        part_close(&part);
    }
}

// A good one is read as it was written.
static void test_round(void **state)
{
    struct part_file part;
    uint64_t whole = 0;
    double half = 0;
    char text[4];
    (void)state;
    must(part_open(&part, write_part("good.part",
                                     "{\"of\":{\"whole\":5,\"half\":0.5,\"a\":\"abc\"},\"first\":2,"
                                     "\"end\":4,\"note\":\"n\"}", "12345", 5)));
    assert_int_equal(part.first, 2);
    assert_int_equal(part.end, 4);
    assert_int_equal(part.bytes, 5);
    assert_memory_equal(part.numbers, "12345", 5);
    must(part_whole(&part, "whole", 5, 5, &whole) && part_number(&part, "half", &half) &&
         part_text(&part, "a", "abc", text, sizeof text));
    assert_true(half == 0.5);
    assert_string_equal(text, "abc");
    assert_string_equal(part_note(&part, "note"), "n");
    assert_string_equal(part_note(&part, "none"), "");
    assert_false(part_text(&part, "a", "ab", text, sizeof text));
    assert_false(part_text(&part, "a", NULL, text, 3));
    assert_false(part_number(&part, "a", &half));
    assert_false(part_whole(&part, "half", 0, 9, &whole));
    part_close(&part);
    part_close(&part); // twice
    status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
