#include "cli/measured.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "edit/finish.h"

enum { PPL_TOKENS = 4096 };

bool measured_open(struct measured *m, const struct args *args, const struct tokenizer *tokenizer,
                   const char *text, uint32_t tokens)
{
    char *bytes = NULL;
    size_t size = 0;
    *m = (struct measured){.measures = {.which = MEASURES_DEFAULT, .tokenizer = tokenizer}};
    if (args->measures && !measures_parse(args->measures, &m->measures.which)) return false;
    const unsigned ppl = 1u << MEASURE_PPL;
    if (!text)
        return !(m->measures.which & ppl) ||
               fail(STATUS_USAGE, "--measures: ppl wants a text (edit: --ppl-text FILE; eval: "
                                  "--text FILE)");
    m->measures.which |= ppl;
    bool ok = file_read(text, &bytes, &size) &&
              tokenizer_encode(tokenizer, bytes, size, ENCODE_PLAIN, &m->text);
    m->measures.text = m->text.ids;
    m->measures.text_count = (uint32_t)m->text.count;
    if (tokens && tokens < m->text.count) m->measures.text_count = tokens;
    if (ok && m->measures.text_count < 2)
        ok = fail(STATUS_BAD_DATA, "%s: a text of %u tokens, wanted 2 for perplexity", text,
                  m->measures.text_count);
    free(bytes);
    if (!ok) measured_free(m);
    return ok;
}

void measured_free(struct measured *m)
{
    token_list_free(&m->text);
    *m = (struct measured){0};
}

bool edit_measure_start(struct edit_measure *m, const struct args *args, const struct opened *o,
                        const struct dataset *data, uint32_t done)
{
    uint32_t *checkpoints, count;
    m->on = args->checkpoints || args->measures || args->ppl_text;
    m->requests = data->requests;
    if (!m->on) return true;
    uint32_t tokens = args->ppl_tokens ? args->ppl_tokens : PPL_TOKENS;
    bool ok = measured_open(&m->measured, args, &o->tokenizer, args->ppl_text, tokens) &&
              checkpoints_parse(args->checkpoints, &checkpoints, &count) &&
              history_new(&m->history, &m->measured.measures, &o->tokenizer, data->requests,
                          (uint32_t)data->count, checkpoints, count) &&
              history_start(&m->history, &o->model);
    if (ok && done)
        log_say("%u edits are not measured again; oedit eval --journal does", done);
    return ok;
}

bool edit_measure_step(struct edit_measure *m, struct editor *e, uint32_t edits, cJSON **state)
{
    struct history *h = &m->history;
    *state = NULL;
    if (!m->on) return true;
    if (!history_right_after(h, e->model, edits)) return false;
    if (!history_is_checkpoint(h, edits)) return true;
    if (!editor_finish(e) || !history_state(h, e->model, edits) || !editor_go_on(e)) return false;
    *state = marks_json(h, &h->states[h->state_count - 1], NULL);
    return true;
}

void edit_measure_free(struct edit_measure *m)
{
    history_free(&m->history);
    measured_free(&m->measured);
    *m = (struct edit_measure){0};
}
