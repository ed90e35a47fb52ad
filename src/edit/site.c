#include "edit/site.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
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

// AlphaEdit, sec. 3: P takes out the eigenvectors of C whose eigenvalues are not small.
static bool null_space(struct site *s, struct model *model, struct weights *weights,
                       const struct hparams *h, const struct corpus *corpus)
{
    const uint32_t n = model->config.ffn;
    struct device *dev = model->dev;
    float *values = mem_new(n, sizeof *values, "eigenvalues");
    float *unit = mem_new((uint64_t)n * n, sizeof *unit, "l2 I");
    bool ok = values && unit &&
              stats_spectrum(model, weights, corpus, s->layer, s->moment, &s->large, values);
    while (ok && s->large_count < n && (double)values[s->large_count] >= h->null_threshold)
        s->large_count++;
    for (uint32_t i = 0; ok && i < n; i++) unit[(uint64_t)i * (n + 1)] = (float)h->l2;
    if (ok && s->large_count == n)
        ok = fail(STATUS_USAGE, "--null-threshold %g: C of layer %u has eigenvalues from %.3g to "
                                "%.3g: none is under it, and nothing would be left of an edit",
                  h->null_threshold, s->layer, (double)values[0], (double)values[n - 1]);
    if (ok && !s->large_count)
        log_warn("--null-threshold %g: all eigenvalues of C of layer %u are under it, so that the "
                 "text's keys are not kept from any edit", h->null_threshold, s->layer);
    if (ok)
        log_say("layer %u: C has %u of %u eigenvalues under %g: the space that edits are kept to",
                s->layer, n - s->large_count, n, h->null_threshold);
    ok = ok && buffer_from(dev, unit, 4ull * n * n, "l2 I", &s->unit) &&
         buffer_new(dev, 4ull * n, "coefficients", &s->parts) &&
         factor_new(dev, s->unit, n, 0, &s->factor);
    s->condition = 1;
    free(values);
    free(unit);
    return ok;
}

bool site_measure(struct site *s, struct model *model, struct weights *weights,
                  const struct hparams *h, bool null, const struct corpus *all,
                  const struct corpus *part)
{
    return (!all || (stats_moment(model, weights, all, s->layer, &s->moment) &&
                     (null ? null_space(s, model, weights, h, all)
                           : moment_factor(s, model, h->ridge)))) &&
           (!part || directions(s, model, weights, part));
}

void site_free(struct site *s, struct device *dev)
{
    factor_free(&s->factor);
    buffer_free(dev, &s->moment);
    buffer_free(dev, &s->large);
    buffer_free(dev, &s->unit);
    buffer_free(dev, &s->parts);
    buffer_free(dev, &s->unfinished);
    buffer_free(dev, &s->directions);
    *s = (struct site){0};
}
