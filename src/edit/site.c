#include "edit/site.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "edit/stats.h"

// Directions whose singular value is rounding error mean nothing: they are never used.
static uint32_t meaningful(const float *values, uint32_t dim, uint32_t ffn)
{
    uint32_t count = 0;
    while (count < dim && values[count] > (float)ffn * 6e-8f * values[0]) count++;
    return count;
}

static bool directions(struct site *s, struct model *model, struct weights *weights,
                       const struct corpus *corpus)
{
    uint32_t dim = model->config.dim;
    float *values = mem_new(dim, sizeof *values, "singular values");
    bool ok = values &&
              stats_directions(model, weights, corpus, s->layer, &s->directions, values);
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

bool site_measure(struct site *s, struct model *model, struct weights *weights, double ridge,
                  const struct corpus *all, const struct corpus *part)
{
    return (!all || (stats_moment(model, weights, all, s->layer, &s->moment) &&
                     moment_factor(s, model, ridge))) &&
           (!part || directions(s, model, weights, part));
}

void site_free(struct site *s, struct device *dev)
{
    factor_free(&s->factor);
    buffer_free(dev, &s->moment);
    buffer_free(dev, &s->unfinished);
    buffer_free(dev, &s->directions);
    *s = (struct site){0};
}
