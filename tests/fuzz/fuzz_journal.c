// A journal: read, listed, shown, and as far applied as that needs no device.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "cli/commands.h"
#include "cli/edit_run.h"
#include "fuzz.h"
#include "io/journal.h"
#include "io/journal_bytes.h"
#include "io/weights.h"
#include "ref_made.h"

static struct weights model; // of which the seeds are journals

static void model_open(void)
{
    char path[] = "/tmp/oedit-fuzz-XXXXXX";
    int file = mkstemp(path);
    struct made *made = made_new();
    if (file < 0 || !freopen("/dev/null", "w", stdout) ||
        !gguf_write_new(path, made->metas, made->meta_count, made->tensors, made->tensor_count) ||
        !weights_open(&model, path))
        abort();
    close(file);
    unlink(path);
    free(made);
}

// What update_sum gives the device: every byte of it must be there to be read.
static void sum(const struct journal *j)
{
    float total = 0;
    for (size_t t = 0; t < j->header.tensor_count; t++) {
        const struct tensor *tensor = NULL;
        if (!journal_base(j, &model, t, &tensor)) return;
        for (size_t i = 0; i < j->edit_count; i++) {
            const struct journal_edit *e = &j->edits[i];
            if (e->layer != j->header.tensors[t].layer || !journal_edit_counts(e)) continue;
            if (e->rows != tensor->rows || e->cols != tensor->cols) abort();
            float x;
            uint64_t us = (uint64_t)e->rank * e->rows, ws = (uint64_t)journal_pairs(e) * e->cols;
            for (uint64_t k = 0; k < us; k++) memcpy(&x, e->u + 4 * k, sizeof x), total += x;
            for (uint64_t k = 0; k < ws; k++) memcpy(&x, e->w + 4 * k, sizeof x), total += x;
            for (uint64_t k = 0; k < e->note_count; k++)
                memcpy(&x, e->notes + 4 * k, sizeof x), total += x;
        }
    }
    static volatile float kept;
    kept = total;
    (void)kept;
}

static void commands(const char *path, size_t edits)
{
    for (int json = 0; json < 2; json++) {
        const char *words[2] = {path, "1"};
        struct args args = {.words = words, .word_count = 1, .json = json};
        command_log(&args);
        status_clear();
        args.filter = "1-3";
        command_log(&args);
        status_clear();
        command_show(&args);
        status_clear();
        args.word_count = 2;
        if (edits) command_show(&args);
        status_clear();
    }
}

static void use(const uint8_t *data, size_t size)
{
    struct journal j;
    if (journal_parse(&j, data, size, "bytes")) {
        size_t edits = j.edit_count;
        sum(&j);
        status_clear();
        if (j.record_count) {
            journal_agrees(&j, &j.header, false);
            commands(fuzz_file(data, size), edits);
        }
        journal_free(&j);
    }
    status_clear();
}

// Right numbers, lengths and checksums, so that what a record says is read, and not only refused.
static void seal(uint8_t *data, size_t size)
{
    uint64_t sum_before = 0;
    uint32_t number = 0;
    if (size >= JOURNAL_START) {
        memset(data, 0, JOURNAL_START);
        memcpy(data, journal_magic, sizeof journal_magic);
        data[sizeof journal_magic] = JOURNAL_VERSION;
    }
    for (size_t at = JOURNAL_START; size >= at && size - at >= JOURNAL_HEAD + JOURNAL_SEAL;) {
        struct journal_head head;
        size_t room = size - at - JOURNAL_HEAD - JOURNAL_SEAL;
        memcpy(&head, data + at, sizeof head);
        memcpy(head.mark, journal_mark, sizeof head.mark);
        head.number = number++;
        head.zero = 0;
        if (head.bytes > room) head.bytes = room;
        memcpy(data + at, &head, sizeof head);
        head.seal = journal_head_seal(data + at);
        memcpy(data + at, &head, sizeof head);
        size_t sealed = JOURNAL_HEAD + (size_t)head.bytes;
        sum_before = journal_seal(data + at, sealed, sum_before);
        memcpy(data + at + sealed, &sum_before, sizeof sum_before);
        at += sealed + JOURNAL_SEAL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!model.path) model_open();
    use(data, size);
    uint8_t *sealed = malloc(size + 1);
    if (!sealed) return 0;
    memcpy(sealed, data, size);
    seal(sealed, size);
    use(sealed, size);
    free(sealed);
    return 0;
}
