#include "cli/edit_line.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"

// NULL: not known.
static const char *verdict(const struct editor *e, const struct edit *edit)
{
    const struct trace *taken = &edit->trace[edit->chosen];
    if (edit->noop || edit->diverged) return "not ok";
    if (e->solver->make && edit->steps < 2) return NULL;
    bool answered = exp(-(double)taken->nll) > 0.5;
    return answered && edit->realised * edit->kept >= 0.5 ? "ok" : "not ok";
}

void edit_line_print(const struct editor *e, const struct edit *edit)
{
    const char *word = verdict(e, edit);
    log_clear();
    if (e->site_count > 1) printf("layer %u, ", e->site->layer);
    printf("loss %.3g to %.3g in %u step%s, realised %.2f, kept %.2f, %.1f s%s%s\n",
           (double)edit->trace[0].total, (double)edit->trace[edit->chosen].total, edit->steps,
           edit->steps == 1 ? "" : "s", edit->realised, edit->kept, edit->milliseconds / 1e3,
           word ? ", " : "", word ? word : "");
    fflush(stdout);
}
