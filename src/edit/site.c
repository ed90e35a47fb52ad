#include "edit/site.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/fingerprint.h"
#include "edit/stats.h"

// Directions whose singular value is rounding error mean nothing: they are never used.
static uint32_t meaningful(const float *values, uint32_t dim, uint32_t ffn)
{
    uint32_t count = 0;
    while (count < dim && values[count] > (float)ffn * 6e-8f * values[0]) count++;
    return count;
}

static bool directions(struct site *s, struct model *model, struct weights *weights,
                       const struct hparams *h, const struct corpus *corpus)
{
    uint32_t dim = model->config.dim, count = 0;
    float *values = mem_new(dim, sizeof *values, "singular values");
    bool ok = values && stats_count(model, h, &count) &&
              stats_directions(model, weights, corpus, s->layer, count, &s->directions, values);
    if (ok) s->direction_count = meaningful(values, dim, model->config.ffn);
    free(values);
    return ok;
}

static bool moment_factor(struct site *s, struct model *model, double ridge)
{
    const uint32_t ffn = model->config.ffn;
    struct solve_report report = {0};
    if (!factor_new(model->dev, s->moment, ffn, ridge, &s->factor) ||
        !factor_check(&s->factor, &s->condition, &report))
        return false;
    log_detail("C [%u, %u] of layer %u: condition about %.2g with ridge %g; solved in %u steps of "
               "refinement, the last of %.1e", ffn, ffn, s->layer, s->condition, ridge,
               report.steps, report.correction);
    if (s->condition > 1e6)
        log_warn("C of layer %u has a condition of about %.1e, over 1e6: a larger --ridge or more "
                 "text makes edits less sensitive to rounding", s->layer, s->condition);
    return true;
}

// AlphaEdit: P and the sum of the earlier keys, of which there are none.
static bool null_space(struct site *s, struct model *model, struct weights *weights,
                       const struct hparams *h, const struct corpus *corpus)
{
    enum { FIRST_ROOM = 16 };
    if (!(h->l2 > 0))
        return fail(STATUS_USAGE, "--l2: got %g, solver alphaedit wants more than 0", h->l2);
    bool ok = null_space_new(&s->null_space, model, weights, h, corpus, s->layer, s->moment) &&
              thin_new(model->dev, model->config.ffn, h->l2, FIRST_ROOM, &s->earlier);
    buffer_free(model->dev, &s->moment);
    s->condition = 1;
    return ok;
}

static bool moment_measure(struct site *s, struct model *model, struct weights *weights,
                           const struct corpus *corpus)
{
    const uint64_t ffn = model->config.ffn;
    s->measured = stats_moment(model, weights, corpus, s->layer, &s->moment) &&
                  fingerprint_take(model->dev, s->moment, 4 * ffn * ffn, &s->moment_bits);
    return s->measured;
}

bool site_measure(struct site *s, struct model *model, struct weights *weights,
                  const struct hparams *h, bool null, const struct corpus *all,
                  const struct corpus *part)
{
    return (!all || (moment_measure(s, model, weights, all) &&
                     (null ? null_space(s, model, weights, h, all)
                           : moment_factor(s, model, h->ridge)))) &&
           (!part || directions(s, model, weights, h, part));
}

void site_free(struct site *s, struct device *dev)
{
    factor_free(&s->factor);
    buffer_free(dev, &s->moment);
    null_space_free(&s->null_space, dev);
    thin_free(&s->earlier);
    buffer_free(dev, &s->unfinished);
    buffer_free(dev, &s->directions);
    *s = (struct site){0};
}
