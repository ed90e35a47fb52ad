#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/experiment.h"
#include "edit/editor.h"

bool contexts_share(struct experiment_work *w, struct hparams *h, uint64_t seed)
{
    if (h->context_text_count || !w->contexts.count || w->contexts.seed != seed ||
        w->contexts.wanted != h->contexts || w->contexts.shorter != h->context_short ||
        w->contexts.longer != h->context_long)
        return true;
    h->context_texts = mem_new(w->contexts.count, sizeof *h->context_texts, "contexts");
    for (uint32_t i = 0; h->context_texts && i < w->contexts.count; i++) {
        const char *text = w->contexts.texts[i];
        if (!(h->context_texts[i] = mem_text(text, strlen(text), "contexts"))) return false;
        h->context_text_count = i + 1;
    }
    return h->context_texts != NULL;
}

bool contexts_keep(struct experiment_work *w, const struct editor *e, uint64_t seed)
{
    if (e->hparams.context_text_count || e->contexts.count == 0) return true;
    for (uint32_t i = 0; i < w->contexts.count; i++) free(w->contexts.texts[i]);
    free(w->contexts.texts);
    w->contexts.count = 0;
    w->contexts.texts = mem_new(e->contexts.count, sizeof *w->contexts.texts, "contexts");
    for (uint32_t i = 0; w->contexts.texts && i < e->contexts.count; i++) {
        const char *text = e->contexts.texts[i];
        if (!(w->contexts.texts[i] = mem_text(text, strlen(text), "contexts"))) return false;
        w->contexts.count = i + 1;
    }
    w->contexts.wanted = e->hparams.contexts;
    w->contexts.shorter = e->hparams.context_short;
    w->contexts.longer = e->hparams.context_long;
    w->contexts.seed = seed;
    return w->contexts.texts != NULL;
}
