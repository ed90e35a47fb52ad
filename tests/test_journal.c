// Journals without a device: written, read back, torn at every byte, flipped at every bit, and with
// every number in them replaced by hostile ones behind right checksums.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/journal.h"
#include "io/journal_bytes.h"
#include "ref_must.h"
#include "ref_tiny.h"

// Edits 1 and 2 are of one pair, 3 has no effect, 4 is of three pairs with notes, 5 is dense.
enum { ROWS = 4, COLS = 6, EDITS = 5, RECORDS = EDITS + 2, NOOP = 2, MANY = 3, DENSE = 4 };
enum { RANK = 3, NOTES = 7, ROOM = RANK * (ROWS + COLS) + ROWS * COLS + NOTES };

// The header of the test's journals.
static void header_make(struct journal_header *h)
{
    *h = (struct journal_header){0};
    must(journal_set(h, "model", SETTING_TEXT, "00112233445566778899aabbccddeeff"));
    must(journal_set_number(h, "lambda", SETTING_NUMBER, 0.1));
    must(journal_set(h, "device", SETTING_MADE, "a device"));
    must(journal_add_tensor(h, 2, "blk.2.ffn_down.weight", "Q4_1", ROWS, COLS));
}

static float pairs[EDITS][ROOM];
static struct journal_look looks[EDITS][EDITS];
static struct journal_candidate candidates[] = {{1, 2.5, 1, 3, 4}, {2, 0.5, 5, 6, 7}};
static char *lists[][2] = {{"one", "zwei"}, {"", "Grüße"}};

// Edit i: different in every field.
static struct journal_edit edit_make(uint32_t i)
{
    static char *const subjects[EDITS] = {"France", "the sea", "Köln", "a", "b c"};
    static char prompts[EDITS][40];
    snprintf(prompts[i], sizeof prompts[i], "In %s is", subjects[i]);
    for (uint32_t k = 0; k < ROOM; k++) pairs[i][k] = (float)(k + 1) / (float)(i + 3);
    for (uint32_t k = 0; k <= i; k++) looks[i][k].total = (float)(k + 10 * i);
    return (struct journal_edit){
        .number = i + 1,
        .request = {.id = (int64_t)i - 1, .prompt = prompts[i], .subject = subjects[i],
                    .subject_at = 3, .target_new = " Rome", .target_true = i == 1 ? "Paris" : NULL,
                    .rephrases = {lists[0], i < 2 ? i + 1 : i == 3}, .localities = {lists[1], 2},
                    .locality_truths = {lists[0], i == 0 ? 2 : 0},
                    .generations = {lists[1], i >= 2}},
        .layer = 2, .noop = i == NOOP, .looks = looks[i], .look_count = i + 1, .chosen = i,
        .v0 = 1.5 + i, .length = 2.5, .s = 0.1, .realised = 0.9, .kept = 1.0 / 3, .u_norm = 7,
        .w_norm = 1e-300, .k_norm = 3, .r = i, .q = 2 * i,
        .candidates = i == 1 || i == DENSE ? candidates : NULL,
        .candidate_count = i == 1 || i == DENSE ? 2 : 0, // these had a choice
        .rank = i == NOOP || i == DENSE ? 0 : i == MANY ? RANK : 1,
        .rows = i == NOOP ? 0 : ROWS, .cols = i == NOOP ? 0 : COLS,
        .u = i == DENSE ? NULL : (const uint8_t *)pairs[i],
        .w = (const uint8_t *)(pairs[i] + (i == MANY ? RANK * ROWS : ROWS)),
        .note_count = i == MANY ? NOTES : 0, .notes = (const uint8_t *)pairs[i]};
}

// Header, three edits, a revert of the first.
static const char *journal_make(const char *name)
{
    const char *path = tiny_path(name);
    struct journal_header header;
    struct journal_writer w;
    unlink(path);
    header_make(&header);
    must(journal_writer_open(&w, path));
    must(journal_begin(&w, &header));
    for (uint32_t i = 0; i < EDITS; i++) {
        struct journal_edit e = edit_make(i);
        must(journal_add_edit(&w, &e));
    }
    must(journal_add_revert(&w, (uint32_t[]){1}, 1));
    journal_writer_close(&w);
    journal_writer_close(&w);
    journal_header_free(&header);
    return path;
}

// The whole file in memory of its very size, so that a sanitizer sees a step beyond it.
static uint8_t *bytes_of(const char *path, size_t *size)
{
    struct file_map map;
    must(file_map_open(&map, path));
    uint8_t *bytes = malloc(map.size);
    assert_non_null(bytes);
    memcpy(bytes, map.data, map.size);
    *size = map.size;
    file_map_close(&map);
    return bytes;
}

static void list_check(const struct text_list *a, const struct text_list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) assert_string_equal(a->items[i], b->items[i]);
}

static void edit_check(const struct journal_edit *a, const struct journal_edit *b)
{
    assert_true(request_same(&a->request, &b->request));
    assert_int_equal(a->request.subject_at, b->request.subject_at);
    list_check(&a->request.localities, &b->request.localities);
    list_check(&a->request.generations, &b->request.generations);
    assert_true(a->number == b->number && a->layer == b->layer && a->noop == b->noop);
    assert_true(a->look_count == b->look_count && a->chosen == b->chosen);
    assert_memory_equal(a->looks, b->looks, a->look_count * sizeof *a->looks);
    assert_true(a->v0 == b->v0 && a->length == b->length && a->s == b->s &&
                a->realised == b->realised && a->kept == b->kept && a->u_norm == b->u_norm &&
                a->w_norm == b->w_norm && a->k_norm == b->k_norm && a->r == b->r && a->q == b->q);
    assert_int_equal(a->candidate_count, b->candidate_count);
    for (uint32_t i = 0; i < a->candidate_count; i++) {
        const struct journal_candidate *c = &a->candidates[i], *d = &b->candidates[i];
        assert_true(c->layer == d->layer && c->score == d->score && c->length == d->length &&
                    c->w_norm == d->w_norm && c->k_norm == d->k_norm);
    }
    assert_true(a->rows == b->rows && a->cols == b->cols && a->rank == b->rank);
    assert_int_equal(a->note_count, b->note_count);
    if (a->rank) assert_memory_equal(a->u, b->u, 4 * a->rank * a->rows);
    if (a->cols) assert_memory_equal(a->w, b->w, 4 * (a->rank ? a->rank : a->rows) * a->cols);
    if (a->note_count) assert_memory_equal(a->notes, b->notes, 4 * a->note_count);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct journal j;
    must(journal_open(&j, journal_make("round.journal"), false));
    assert_int_equal(j.record_count, RECORDS);
    assert_true(j.whole == j.bytes && j.bytes == j.seals[RECORDS - 1].end);
    assert_int_equal(j.edit_count, EDITS);
    for (uint32_t i = 0; i < EDITS; i++) {
        struct journal_edit e = edit_make(i);
        edit_check(&j.edits[i], &e);
        assert_true(j.edits[i].reverted == (i == 0));
    }
    assert_int_equal(journal_remaining(&j), 3); // one is reverted, one without effect
    assert_string_equal(journal_setting(&j.header, "lambda"), "0.1");
    assert_null(journal_setting(&j.header, "mu"));
    const struct journal_tensor *t = &j.header.tensors[0];
    assert_true(t->layer == 2 && t->rows == ROWS && t->cols == COLS);
    assert_string_equal(t->dtype, "Q4_1");
    assert_true(journal_sniff(tiny_path("round.journal")));
    journal_free(&j);
    journal_free(&j);
}

// Sums of edits are sums of pairs: a dense one has a pair for each row.
static void test_pairs(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < EDITS; i++) {
        struct journal_edit e = edit_make(i);
        if (e.noop) continue;
        float u[RANK + ROWS][ROWS], w[RANK + ROWS][COLS];
        uint32_t count = journal_pairs(&e);
        assert_int_equal(count, i == MANY ? RANK : i == DENSE ? ROWS : 1);
        journal_pairs_copy(&e, -2, u[0], w[0]);
        for (uint32_t r = 0; r < ROWS; r++)
            for (uint32_t c = 0; c < COLS; c++) {
                float sum = 0, want = 0, a, b;
                for (uint32_t k = 0; k < count; k++) sum += u[k][r] * w[k][c];
                for (uint32_t k = 0; k < e.rank; k++) {
                    memcpy(&a, e.u + 4 * (k * ROWS + r), 4);
                    memcpy(&b, e.w + 4 * (k * COLS + c), 4);
                    want += -2 * a * b;
                }
                if (!e.rank) memcpy(&want, e.w + 4 * (r * COLS + c), 4), want *= -2;
                assert_true(sum == want);
            }
    }
}

// The same calls give the same bytes: nothing in them is of the time or the place.
static void test_same_bytes(void **state)
{
    (void)state;
    size_t size, again;
    uint8_t *a = bytes_of(journal_make("a.journal"), &size);
    uint8_t *b = bytes_of(journal_make("b.journal"), &again);
    assert_int_equal(size, again);
    assert_memory_equal(a, b, size);
    free(a);
    free(b);
}

static size_t ends[RECORDS]; // of the records in the file

static uint8_t *sample(size_t *size)
{
    struct journal j;
    const char *path = journal_make("sample.journal");
    must(journal_open(&j, path, false));
    for (size_t i = 0; i < RECORDS; i++) ends[i] = (size_t)j.seals[i].end;
    journal_free(&j);
    return bytes_of(path, size);
}

// However the file is cut: what was whole is there, the rest is left out.
static void test_torn(void **state)
{
    (void)state;
    size_t size, whole = 0;
    uint8_t *bytes = sample(&size);
    for (size_t cut = 0; cut <= size; cut++) {
        struct journal j;
        uint8_t *part = malloc(cut ? cut : 1);
        assert_non_null(part);
        memcpy(part, bytes, cut);
        while (whole < RECORDS && ends[whole] <= cut) whole++;
        must(journal_parse(&j, part, cut, "torn"));
        assert_int_equal(j.record_count, whole);
        assert_int_equal(j.whole, whole ? ends[whole - 1] : 0);
        journal_free(&j);
        free(part);
    }
    free(bytes);
}

// A torn tail that a power cut left as zeros or rubbish of the right length.
static void test_torn_pages(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = sample(&size);
    for (size_t from = ends[RECORDS - 2]; from < size; from++)
        for (int fill = 0; fill < 256; fill += 85) {
            struct journal j;
            uint8_t *part = malloc(size);
            assert_non_null(part);
            memcpy(part, bytes, from);
            memset(part + from, fill, size - from);
            if (memcmp(part, bytes, size) != 0) {
                must(journal_parse(&j, part, size, "torn"));
                assert_int_equal(j.record_count, RECORDS - 1);
                journal_free(&j);
            }
            free(part);
        }
    free(bytes);
}

// After a cut the journal goes on and ends with the bytes of an undisturbed one.
static void test_goes_on(void **state)
{
    (void)state;
    size_t size, again;
    uint8_t *bytes = sample(&size);
    for (size_t cut = ends[0]; cut < size; cut += 1 + (size - cut) / 40) {
        const char *path = tiny_path("on.journal");
        FILE *file = fopen(path, "wb");
        assert_true(file && fwrite(bytes, 1, cut, file) == cut && fclose(file) == 0);
        struct journal_writer w;
        struct journal j;
        must(journal_writer_open(&w, path));
        must(journal_open(&j, path, false));
        must(journal_go_on(&w, &j));
        for (uint32_t i = (uint32_t)j.record_count - 1; i < EDITS; i++) {
            struct journal_edit e = edit_make(i);
            must(journal_add_edit(&w, &e));
        }
        must(journal_add_revert(&w, (uint32_t[]){1}, 1));
        journal_writer_close(&w);
        journal_free(&j);
        uint8_t *now = bytes_of(path, &again);
        assert_int_equal(again, size);
        assert_memory_equal(now, bytes, size);
        free(now);
    }
    free(bytes);
}

// Every flipped bit is seen: refused with the record's number and offset, or, in the last record,
// which cannot be told from a torn one, left out.
static void test_flips(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = sample(&size);
    uint32_t refused = 0, dropped = 0;
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct journal j;
            uint32_t record = 0;
            char words[64];
            while (ends[record] <= at) record++;
            bytes[at] ^= (uint8_t)(1 << bit);
            bool ok = journal_parse(&j, bytes, size, "flipped");
            bytes[at] ^= (uint8_t)(1 << bit);
            if (ok) {
                assert_int_equal(record, RECORDS - 1);
                assert_int_equal(j.record_count, RECORDS - 1);
                journal_free(&j);
                dropped++;
                continue;
            }
            snprintf(words, sizeof words, "record %u at byte %zu", record,
                     record ? ends[record - 1] : (size_t)JOURNAL_START);
            must_fail(false, STATUS_BAD_DATA, at < JOURNAL_START ? "flipped" : words);
            refused++;
        }
    assert_int_equal(dropped, 8 * (size - ends[RECORDS - 2]));
    assert_int_equal(refused, 8 * ends[RECORDS - 2]);
    free(bytes);
}

// Right checksums over whatever stands there.
static void reseal(uint8_t *bytes)
{
    uint64_t seal = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        size_t start = i ? ends[i - 1] : JOURNAL_START, sealed = ends[i] - start - JOURNAL_SEAL;
        uint64_t head = journal_head_seal(bytes + start);
        memcpy(bytes + start + JOURNAL_HEAD - JOURNAL_SEAL, &head, sizeof head);
        seal = journal_seal(bytes + start, sealed, seal);
        memcpy(bytes + start + sealed, &seal, sizeof seal);
    }
}

// A stranger can make checksums right. Whatever number stands at any place: refused, or harmless.
static void test_hostile(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0x40000001};
    size_t size;
    uint32_t refused = 0, tried = 0;
    uint8_t *bytes = sample(&size);
    reseal(bytes); // changes nothing
    struct journal whole;
    must(journal_parse(&whole, bytes, size, "sealed"));
    assert_int_equal(whole.record_count, RECORDS);
    journal_free(&whole);
    for (size_t i = 0; i < RECORDS; i++)
        for (size_t at = i ? ends[i - 1] : JOURNAL_START; at + 4 <= ends[i] - JOURNAL_SEAL; at++)
            for (size_t k = 0; k < COUNT(numbers); k++, tried++) {
                struct journal j;
                uint8_t *copy = malloc(size);
                assert_non_null(copy);
                memcpy(copy, bytes, size);
                memcpy(copy + at, &numbers[k], 4);
                reseal(copy);
                if (journal_parse(&j, copy, size, "hostile")) {
                    journal_free(&j);
                } else {
                    assert_int_equal(status_code(), STATUS_BAD_DATA);
                    status_clear();
                    refused++;
                }
                free(copy);
            }
    assert_true(refused > tried / 4);
    free(bytes);
}

// Sets four bytes of record i's body, seals again, and wants the refusal.
static void changed(const uint8_t *bytes, size_t size, size_t i, size_t at, uint32_t value,
                    const char *words)
{
    struct journal j;
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    memcpy(copy + (i ? ends[i - 1] : JOURNAL_START) + at, &value, 4);
    reseal(copy);
    must_fail(journal_parse(&j, copy, size, "changed"), STATUS_BAD_DATA, words);
    free(copy);
}

static void test_refused(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = sample(&size);
    struct journal j;
    changed(bytes, size, 2, 4, 9, "its kind is not known");
    changed(bytes, size, 0, 4, JOURNAL_EDIT, "a header is not in its place");
    changed(bytes, size, 1, 4, JOURNAL_HEADER, "a header is not in its place");
    changed(bytes, size, 1, 8, 7, "its number is not the next");
    changed(bytes, size, 2, JOURNAL_HEAD, 3, "the edit's number is not the next");
    changed(bytes, size, RECORDS - 1, JOURNAL_HEAD + 4, 6, "reverts what is not there");
    changed(bytes, size, RECORDS - 1, JOURNAL_HEAD, 0, "it reverts nothing");
    changed(bytes, size, RECORDS - 1, JOURNAL_HEAD, 2, "a count goes beyond its end");
    // Rank and the number of notes stand before the numbers themselves.
    size_t many = ends[MANY + 1] - ends[MANY] - JOURNAL_SEAL - 4 * (RANK * (ROWS + COLS) + NOTES);
    changed(bytes, size, MANY + 1, many - 8, COLS + 1, "more pairs than");
    changed(bytes, size, MANY + 1, many - 8, RANK + 1, "goes beyond its end");
    changed(bytes, size, MANY + 1, many - 4, NOTES - 1, "a count goes beyond its end");
    changed(bytes, size, MANY + 1, 4, JOURNAL_EDIT, "a count goes beyond its end");
    changed(bytes, size, MANY, JOURNAL_HEAD - 28, JOURNAL_MANY, "goes beyond its end");
    changed(bytes, size, 0, JOURNAL_HEAD, 0, "longer than what it says");
    // Records taken out or swapped: each seal goes through all before.
    size_t second = ends[2] - ends[1];
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, ends[1]);
    memcpy(copy + ends[1], bytes + ends[2], size - ends[2]);
    must_fail(journal_parse(&j, copy, size - second, "spliced"), STATUS_BAD_DATA, "is missing");
    memcpy(copy, bytes, size);
    copy[8] = 2;
    must_fail(journal_parse(&j, copy, size, "newer"), STATUS_BAD_DATA, "version 2.0, wanted 1.0");
    must_fail(journal_parse(&j, (const uint8_t *)"GGUF", 4, "x.gguf"), STATUS_BAD_DATA,
              "x.gguf is no journal");
    const char *path = tiny_path("empty.journal");
    FILE *file = fopen(path, "wb");
    assert_true(file && fclose(file) == 0);
    must_fail(journal_open(&j, path, false), STATUS_BAD_DATA, "has no whole record");
    must(journal_open(&j, path, true));
    journal_free(&j);
    must_fail(journal_open(&j, tiny_path("none.journal"), true), STATUS_BAD_DATA, "cannot open");
    free(copy);
    free(bytes);
}

static void test_lock(void **state)
{
    (void)state;
    struct journal_writer first, second;
    const char *path = journal_make("lock.journal");
    must(journal_writer_open(&first, path));
    must_fail(journal_writer_open(&second, path), STATUS_FAILED, "in use by another run");
    journal_writer_close(&second);
    journal_writer_close(&first);
    must(journal_writer_open(&second, path));
    journal_writer_close(&second);
}

static void agree(const struct journal *j, const char *name, uint32_t kind, const char *value,
                  const char *words)
{
    struct journal_header now = {0};
    for (size_t i = 0; i < j->header.setting_count; i++) {
        const struct setting *s = &j->header.settings[i];
        bool other = strcmp(s->name, name) == 0;
        if (!other || value) must(journal_set(&now, s->name, s->kind, other ? value : s->value));
    }
    if (!journal_setting(&j->header, name)) must(journal_set(&now, name, kind, value));
    must(journal_add_tensor(&now, 2, "blk.2.ffn_down.weight", "Q4_1", ROWS, COLS));
    if (words)
        must_fail(journal_agrees(j, &now, false), STATUS_USAGE, words);
    else
        must(journal_agrees(j, &now, false));
    journal_header_free(&now);
}

static void test_agrees(void **state)
{
    (void)state;
    struct journal j;
    struct journal_header now;
    must(journal_open(&j, journal_make("agrees.journal"), false));
    header_make(&now);
    must(journal_agrees(&j, &now, false));
    now.tensors[0].rows++;
    must_fail(journal_agrees(&j, &now, true), STATUS_USAGE, "[4, 6], this run");
    journal_header_free(&now);
    agree(&j, "lambda", 0, "0.2", "lambda was 0.1, now 0.2");
    agree(&j, "model", 0, "00", "model was 00112233445566778899aabbccddeeff, now 00");
    agree(&j, "lambda", 0, NULL, "lambda was 0.1, now (nothing)");
    agree(&j, "mu", SETTING_NUMBER, "3", "mu was (nothing), now 3");
    agree(&j, "device", 0, "another", NULL); // warned of
    now = (struct journal_header){0};
    must(journal_set(&now, "model", SETTING_TEXT, "00112233445566778899aabbccddeeff"));
    must(journal_agrees(&j, &now, true)); // a part of the settings
    must_fail(journal_agrees(&j, &now, false), STATUS_USAGE, "lambda was 0.1, now (nothing)");
    journal_header_free(&now);
    journal_free(&j);
}

// What cannot be written leaves the journal as it was.
static void test_full(void **state)
{
    (void)state;
    struct journal_writer w = {0};
    struct journal_edit e = edit_make(0);
    must_fail(journal_writer_open(&w, "/dev/full"), STATUS_FAILED, "wanted a file");
    must_fail(journal_writer_open(&w, tiny_path("no/such/folder")), STATUS_FAILED, "cannot write");
    e.request.subject_at = 0; // a record that the reader refuses is refused on reading
    const char *path = journal_make("full.journal");
    struct journal j;
    must(journal_writer_open(&w, path));
    must(journal_open(&j, path, false));
    must(journal_go_on(&w, &j));
    journal_free(&j);
    e.number = EDITS + 1;
    must(journal_add_edit(&w, &e));
    journal_writer_close(&w);
    must_fail(journal_open(&j, path, false), STATUS_BAD_DATA, "does not stand in the prompt");
}

static int start(void **state)
{
    (void)state;
    tiny_folder_new();
    log_level_set(LOG_QUIET);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_torn),       cmocka_unit_test(test_torn_pages),
        cmocka_unit_test(test_goes_on),    cmocka_unit_test(test_flips),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lock),       cmocka_unit_test(test_agrees),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, start, end);
}
