#include "edit/null_space.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/stats.h"

// Of all eigenvectors [ffn, ffn], by falling eigenvalues, the fewer: `outside` of them are no part
// of the space.
static bool rows_take(struct null_space *s, struct device *dev, const struct buffer *all,
                      uint32_t outside)
{
    const uint64_t n = s->ffn;
    s->inside = s->count < outside;
    s->row_count = s->inside ? s->count : outside;
    const uint64_t first = s->inside ? outside : 0;
    if (!s->row_count) return true;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    bool ok = buffer_new(dev, 4ull * s->row_count * n, "eigenvectors of C", &s->rows) &&
              buffer_new(dev, 4ull * s->row_count, "coefficients", &s->coefficients);
    if (ok) {
        op_axpby(&cmd, (struct axpby_args){.x = all->address + 4 * first * n,
                                           .y = s->rows->address, .alpha = 1,
                                           .n = s->row_count * s->ffn});
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    return ok;
}

static bool tell(const struct null_space *s, uint32_t layer, double threshold, const float *values)
{
    if (!s->count)
        return fail(STATUS_USAGE, "--null-threshold %g: C of layer %u has eigenvalues from %.3g to "
                                  "%.3g: none is under it, and nothing would be left of an edit",
                    threshold, layer, (double)values[0], (double)values[s->ffn - 1]);
    if (s->count == s->ffn)
        log_warn("--null-threshold %g: all eigenvalues of C of layer %u are under it, so that the "
                 "text's keys are not kept from any edit", threshold, layer);
    log_say("layer %u: C has %u of %u eigenvalues under %g: the space that edits are kept to",
            layer, s->count, s->ffn, threshold);
    return true;
}

bool null_space_new(struct null_space *s, struct model *model, struct weights *weights,
                    const struct hparams *h, const struct corpus *corpus, uint32_t layer,
                    struct buffer *moment)
{
    const uint32_t n = model->config.ffn;
    struct buffer *all = NULL;
    float *values = mem_new(n, sizeof *values, "eigenvalues");
    uint32_t outside = 0;
    *s = (struct null_space){.ffn = n};
    bool ok = values && stats_spectrum(model, weights, corpus, layer, moment, &all, values);
    while (ok && outside < n && (double)values[outside] >= h->null_threshold) outside++;
    s->count = n - outside;
    ok = ok && tell(s, layer, h->null_threshold, values) &&
         rows_take(s, model->dev, all, outside);
    buffer_free(model->dev, &all);
    free(values);
    if (!ok) null_space_free(s, model->dev);
    return ok;
}

void null_space_free(struct null_space *s, struct device *dev)
{
    buffer_free(dev, &s->rows);
    buffer_free(dev, &s->coefficients);
    *s = (struct null_space){0};
}

void null_space_project(struct cmd *cmd, const struct null_space *s, fbuf k)
{
    if (!s->row_count) return; // P = I
    struct matrix rows = matrix_of(s->rows->address, s->row_count, s->ffn);
    if (s->inside)
        project_onto(cmd, rows, k, s->coefficients->address, 2);
    else
        project_out(cmd, rows, k, s->coefficients->address, 2);
}
