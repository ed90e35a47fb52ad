#include "ref_direct.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ref_must.h"
#include "ref_tiny.h"

static const char *const facts[DIRECT_EDITS][3] = {
    {"the cat lives in", "the cat", "paris"},
    {"the king of rome speaks", "king of rome", "latin music"},
    {"born on the sea the old man plays", "old man", "red and blue"},
};

void direct_open(struct direct *d, struct rig *rig)
{
    const struct tiny tiny = {.layers = 4, .dim = DIRECT_DIM, .ffn = DIRECT_FFN, .heads = 4,
                              .kv_heads = 2, .head_dim = 4, .vocab = TINY_VOCAB + 5,
                              .context = 128, .seed = 11};
    *d = (struct direct){.rig = rig};
    tiny_open(&tiny, rig->dev, &d->weights, &d->tokenizer, &d->model);
    ref_model_open(&d->ref, &d->weights);
    d->hparams = (struct hparams){.layer = DIRECT_LAYER, .rate = 1e-2, .stop = 0.01, .steps = 6,
                                  .lambda3 = 1, .q_max = UINT32_MAX, .block = 40,
                                  .stats_tokens = 900, .grad_tokens = 900};
    for (uint32_t i = 0; i < DIRECT_EDITS; i++) {
        must(dataset_from_strings(&d->facts[i], facts[i][0], facts[i][1], facts[i][2]));
        d->requests[i] = d->facts[i].requests[0];
        must(prompts_new(&d->prompts[i], &d->tokenizer, &d->requests[i], NULL, 0));
        assert_int_equal(d->prompts[i].count, 2); // plain, KL
        assert_int_equal(d->prompts[i].target_count, i + 1);
        const struct prompt *p = &d->prompts[i].items[0];
        d->ref_prompts[i] = (struct ref_prompt){.tokens = p->tokens, .count = p->count,
                                                .given = p->given, .lookup = p->lookup};
    }
}

void direct_close(struct direct *d)
{
    direct_end(d);
    editor_close(&d->editor);
    for (uint32_t i = 0; i < DIRECT_EDITS; i++) {
        prompts_free(&d->prompts[i]);
        dataset_free(&d->facts[i]);
    }
    free(d->room.data);
    ref_model_close(&d->ref);
    tiny_close(&d->weights, &d->tokenizer, &d->model);
}

bool direct_editor(struct direct *d, const char *solver, const char *guard)
{
    struct sequence_options options = {.solver = solver, .guard = guard, .seed = 1,
                                       .hparams = d->hparams, .text = tiny_path("text.txt")};
    return editor_open(&d->editor, &d->model, &d->weights, &d->tokenizer, &options);
}

struct run {
    struct direct *direct;
    edit_done done;
    void *user;
};

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct run *run = user;
    struct direct *d = run->direct;
    if (d->writer.file.path) {
        struct journal_edit record;
        must(record_edit(&record, e, edit, &d->room));
        must(journal_add_edit(&d->writer, &record));
        record_edit_free(&record);
    }
    return !run->done || run->done(run->user, e, edit);
}

void direct_run(struct direct *d, uint32_t count, edit_done done, void *user)
{
    struct run run = {d, done, user};
    must(sequence_run(&d->editor, d->requests, count, on_edit, &run));
}

void direct_journal(struct direct *d, const char *name)
{
    struct journal_header header;
    unlink(tiny_path(name));
    must(journal_writer_open(&d->writer, tiny_path(name)));
    must(record_header(&header, &d->weights, &d->editor, 1));
    must(journal_begin(&d->writer, &header));
    journal_header_free(&header);
}

void direct_end(struct direct *d)
{
    journal_writer_close(&d->writer);
}

void direct_same_journals(const char *first, const char *second)
{
    struct journal a, b;
    must(journal_open(&a, tiny_path(first), false));
    must(journal_open(&b, tiny_path(second), false));
    assert_int_equal(a.bytes, b.bytes);
    assert_memory_equal(a.map.data, b.map.data, a.bytes);
    journal_free(&a);
    journal_free(&b);
}

void direct_matrix(const struct direct *d, float w[DIRECT_DIM * DIRECT_FFN])
{
    must(buffer_read(d->rig->dev, d->editor.site->matrix, 0, w, 4ull * DIRECT_DIM * DIRECT_FFN));
}
