#include "edit/blame.h"

#include <stdio.h>
#include <string.h>

#include "edit/value.h"
#include "ops/watch.h"

void edit_who(const struct edit *edit, char who[WHO_BYTES])
{
    enum { SHOWN = 40 };
    const char *prompt = edit->request->prompt;
    size_t length = strlen(prompt);
    bool cut = length > SHOWN;
    if (cut) length = SHOWN;
    while (cut && ((unsigned char)prompt[length] & 0xc0) == 0x80) length--; // whole characters
    snprintf(who, WHO_BYTES, "edit %u (\"%.*s%s\")", edit->number, (int)length, prompt,
             cut ? "..." : "");
}

bool edit_blame(struct editor *e, const struct edit *edit, const struct penalty penalties[2])
{
    struct prepared prepared = {0};
    struct watch watch = {0};
    struct edit again = *edit;
    char who[WHO_BYTES], where[WHO_BYTES + 32], remedy[96];
    edit_who(edit, who);
    snprintf(where, sizeof where, edit->diverged ? "%s, step %u" : "%s", who, edit->steps);
    snprintf(remedy, sizeof remedy, "take a smaller --rate than %g or --clamp than %g",
             e->hparams.rate, e->hparams.clamp);
    again.prepared = &prepared;
    again.first = 0;
    // Whether it fails on the way does not matter: watch_end says what is to be said.
    (void)(watch_start(&watch, e->model->dev) &&
           prepare(&prepared, e->model, edit->prompts, 1, &e->site->layer, 1) &&
           value_find(e, &again, penalties));
    watch_end(&watch, where, edit->diverged ? remedy : NULL);
    prepared_free(&prepared);
    return false;
}
