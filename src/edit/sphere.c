#include "edit/sphere.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "linalg/svd.h"
#include "model/unpack.h"

uint32_t sphere_count(const float *sigma, uint32_t n, double eta)
{
    double all = 0, sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) all += (double)sigma[i] * (double)sigma[i];
    for (; count < n; count++) {
        sum += (double)sigma[count] * (double)sigma[count];
        if (sum > eta * all) break;
    }
    return count < n ? count + 1 : n;
}

// Every row of w [rows, cols] gets length 1; a row of zeros stays as it is.
static bool unit_rows(struct device *dev, struct buffer *w, uint32_t rows, uint32_t cols)
{
    struct buffer *norms = NULL;
    struct cmd cmd;
    bool ok = buffer_new(dev, 4ull * (rows + 1), "lengths of rows", &norms);
    cmd_start(&cmd, dev, false);
    if (ok) {
        fbuf none = norms->address + 4ull * rows;
        op_fill(&cmd, (struct fill_args){.y = none, .n = 1});
        for (uint32_t i = 0; i < rows; i++)
            op_unit_row(&cmd, (struct unit_row_args){.x = w->address + 4ull * i * cols,
                                                     .before = none, .cols = cols,
                                                     .norm = norms->address + 4ull * i});
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    buffer_free(dev, &norms);
    return ok;
}

bool sphere_directions(struct device *dev, const struct tensor *w, double eta,
                       struct buffer **rows, uint32_t *count, float *sigma)
{
    const uint32_t d = (uint32_t)w->rows, m = (uint32_t)w->cols, k = d < m ? d : m;
    struct buffer *unit = NULL, *values = NULL, *all = NULL;
    float *host = mem_new(k, sizeof *host, "singular values");
    bool ok = host && tensor_unpack(dev, w, &unit) && unit_rows(dev, unit, d, m) &&
              buffer_new(dev, 4ull * k, "singular values", &values) &&
              buffer_new(dev, 4ull * k * m, "singular vectors", &all) &&
              svd_full(dev, unit, d, m, NULL, values, all, NULL) &&
              buffer_read(dev, values, 0, host, 4ull * k);
    buffer_free(dev, &unit);
    if (ok) {
        *count = sphere_count(host, k, eta);
        ok = buffer_new(dev, 4ull * *count * m, "directions of W's rows", rows) &&
             buffer_copy(dev, all, *rows, 4ull * *count * m);
    }
    for (uint32_t i = 0; ok && sigma && i < k; i++) sigma[i] = host[i];
    buffer_free(dev, &values);
    buffer_free(dev, &all);
    free(host);
    return ok;
}

// Of the base: what the model's file has, whatever edits have added since.
static bool sphere_start(struct editor *e)
{
    struct site *s = e->site;
    const struct hparams *h = &e->hparams;
    const struct tensor *base = weights_part(e->model->weights, PART_FFN_DOWN, s->layer);
    if (!(h->sphere_alpha > 0 && h->sphere_alpha <= 1) || !(h->sphere_eta < 1))
        return fail(STATUS_USAGE, "--guard sphere: got --sphere-alpha %g and --sphere-eta %g, "
                                  "wanted over 0 up to 1, and 0 to under 1", h->sphere_alpha,
                    h->sphere_eta);
    log_say("directions of the rows of layer %u's matrix [%llu, %llu]", s->layer,
            (unsigned long long)base->rows, (unsigned long long)base->cols);
    if (!sphere_directions(e->model->dev, base, h->sphere_eta, &s->principal, &s->principal_count,
                           NULL))
        return false;
    log_say("layer %u: %u of %llu directions hold %g of W's rows as a share: updates keep %g of "
            "what they have along them", s->layer, s->principal_count,
            (unsigned long long)base->cols, h->sphere_eta, 1 - h->sphere_alpha);
    return true;
}

static bool sphere_rows(struct editor *e, struct matrix g)
{
    const struct site *s = e->site;
    const struct matrix u = matrix_of(s->principal->address, s->principal_count, g.cols);
    struct buffer *coefficients = NULL;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    bool ok = buffer_new(e->model->dev, 4ull * g.rows * (u.rows + 3), "coefficients",
                         &coefficients);
    if (ok) {
        project_share(&cmd, g, u, coefficients->address, (float)e->hparams.sphere_alpha);
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    buffer_free(e->model->dev, &coefficients);
    return ok;
}

static void sphere_stop(struct editor *e)
{
    buffer_free(e->model->dev, &e->site->principal);
}

const struct guard guard_sphere = {
    .name = "sphere", .cite = "SPHERE, arXiv 2510.01172", .start = sphere_start,
    .rows = sphere_rows, .stop = sphere_stop,
};
