#include "edit/search.h"

#include <math.h>

#include "base/interrupt.h"
#include "base/log.h"

// Knobs between which the wanted one lies, by what the norm is there; NAN: not known.
struct bracket {
    double start; // where nothing of dW is left
    double small, small_norm; // where the norm is too small
    double large, large_norm;
};

// On the line through both ends, or while the large one is not known, through the small one and the
// start; kept away from the ends. The middle at first.
static double next(const struct bracket *b, const struct control *c, double wanted)
{
    double part = (wanted - b->small_norm) / (b->large_norm - b->small_norm);
    if (isnan(b->large_norm) && b->small_norm > 0)
        part = (b->small - b->start) / (b->large - b->small) * (wanted / b->small_norm - 1);
    if (isnan(part)) part = 0.5;
    double x = b->small + fmin(fmax(part, 0.1), 0.9) * (b->large - b->small);
    return c->whole ? round(x) : (double)(float)x; // as --knob reads it
}

double search_most(const struct control *c, const struct hparams *h, uint32_t dim, uint32_t count)
{
    if (c->whole) return h->steps;
    return c->most > 1 ? (double)dim / count : c->most;
}

// At the one end of the knob's range nothing of dW is left; at the other all of it.
static struct bracket bracket_of(const struct control *c, double most)
{
    struct bracket b = {.start = c->falls ? most : 0, .large = c->falls ? 0 : most,
                        .large_norm = NAN};
    b.small = b.start;
    if (c->whole) b.large = most + 1; // so that the last one is tried
    return b;
}

bool search_knob(struct search *s)
{
    const struct control *c = s->control;
    struct bracket b = bracket_of(c, s->most);
    const double range = fabs(b.large - b.small);
    double x = s->first > 0 ? s->first : next(&b, c, s->wanted), norm = 0;
    s->off = INFINITY;
    for (uint32_t run = 1; run <= s->runs && s->off > s->within; run++) {
        if (!interrupt_check() || !s->try(s->user, x, &norm)) return false;
        log_say("match %u: knob %.9g of guard %s gives |dW_total| = %.5g, wanted %.5g", run, x,
                c->guard->name, norm, s->wanted);
        if (fabs(norm / s->wanted - 1) < s->off) {
            s->off = fabs(norm / s->wanted - 1);
            s->norm = norm;
            s->knob = x;
        }
        if (norm < s->wanted)
            b.small = x, b.small_norm = norm;
        else
            b.large = x, b.large_norm = norm;
        x = next(&b, c, s->wanted);
        if (x == b.small || x == b.large || fabs(b.large - b.small) < 0.01 * range) break;
    }
    return true;
}

void search_warn(const struct search *s)
{
    log_warn("--match: the nearest knob of guard %s, %.9g, gives |dW_total| = %.5g, %.0f%% from "
             "%.5g", s->control->guard->name, s->knob, s->norm, 100 * s->off, s->wanted);
}
