#include "ref_edit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

double ref_dot(const double *x, const double *y, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

// y += factor * x
static void add(double *y, double factor, const double *x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) y[i] += factor * x[i];
}

// Gradient at the stream of `layer` of the summed next-token loss of a text.
static double *text_gradient(const struct ref_pass *pass, const uint32_t *tokens, uint32_t layer)
{
    uint32_t vocab = pass->model->config.vocab;
    double *logits = ref_zeros(vocab), *back = ref_zeros(vocab);
    double *stream = ref_zeros((uint64_t)pass->count * pass->model->config.dim);
    for (uint32_t i = 0; i + 1 < pass->count; i++) {
        ref_logits(pass, i, logits);
        ref_cross_entropy_back(logits, vocab, tokens[i + 1], 1, back);
        ref_logits_back(pass, i, back, stream);
    }
    ref_backward(pass, layer, stream);
    free(logits);
    free(back);
    return stream;
}

// C = mean k k^T, and S = (grad G) (grad G)^T.
static void statistics(struct ref_editor *e, const uint32_t *tokens, uint32_t count, double *square)
{
    const struct config *c = &e->model->config;
    uint64_t dim = c->dim, ffn = c->ffn;
    double *g = ref_zeros(dim * ffn);
    for (uint32_t at = 0; at < count; at += e->h->block) {
        struct ref_pass pass;
        uint32_t more = count - at < e->h->block ? count - at : e->h->block;
        ref_forward(&pass, e->model, tokens + at, more, 0, 0, NULL);
        double *back = text_gradient(&pass, tokens + at, e->h->layer + 1);
        for (uint32_t t = 0; t < more; t++) {
            const double *key = pass.acts[e->h->layer].key + t * ffn;
            for (uint64_t i = 0; i < ffn; i++)
                add(e->moment + i * ffn, key[i] / count, key, ffn);
            for (uint64_t i = 0; i < dim; i++) add(g + i * ffn, back[t * dim + i], key, ffn);
        }
        free(back);
        ref_pass_free(&pass);
    }
    for (uint64_t i = 0; i < dim * dim; i++)
        square[i] = ref_dot(g + i / dim * ffn, g + i % dim * ffn, ffn);
    free(g);
}

// Eigenvectors of a symmetric matrix as rows, largest eigenvalue first: Jacobi's rotations.
static void eigenvectors(double *s, double *rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) rows[i * n + i] = 1;
    for (int sweep = 0; sweep < 60; sweep++)
        for (uint32_t p = 0; p < n; p++)
            for (uint32_t q = p + 1; q < n; q++) {
                double angle = 0.5 * atan2(2 * s[p * n + q], s[p * n + p] - s[q * n + q]);
                double c = cos(angle), d = sin(angle);
                for (uint32_t k = 0; k < n; k++) {
                    double x = s[k * n + p], y = s[k * n + q];
                    s[k * n + p] = c * x + d * y;
                    s[k * n + q] = c * y - d * x;
                }
                for (uint32_t k = 0; k < n; k++) {
                    double x = s[p * n + k], y = s[q * n + k];
                    s[p * n + k] = c * x + d * y;
                    s[q * n + k] = c * y - d * x;
                    x = rows[p * n + k], y = rows[q * n + k];
                    rows[p * n + k] = c * x + d * y;
                    rows[q * n + k] = c * y - d * x;
                }
            }
    for (uint32_t i = 0; i < n; i++) { // selection sort by the diagonal
        uint32_t best = i;
        for (uint32_t j = i + 1; j < n; j++)
            if (s[j * n + j] > s[best * n + best]) best = j;
        double value = s[i * n + i];
        s[i * n + i] = s[best * n + best];
        s[best * n + best] = value;
        for (uint32_t k = 0; k < n; k++) {
            double x = rows[i * n + k];
            rows[i * n + k] = rows[best * n + k];
            rows[best * n + k] = x;
        }
    }
}

void ref_editor_open(struct ref_editor *e, struct ref_model *model, const struct hparams *h,
                     bool rome, enum ref_guard guard, const uint32_t *tokens, uint32_t count)
{
    uint32_t dim = model->config.dim;
    uint64_t ffn = model->config.ffn;
    *e = (struct ref_editor){.model = model, .h = h, .rome = rome, .guard = guard};
    double *square = ref_zeros((uint64_t)dim * dim), mean = 0;
    e->moment = ref_zeros(ffn * ffn);
    e->directions = ref_zeros((uint64_t)dim * dim);
    e->basis = ref_zeros((uint64_t)dim * dim);
    statistics(e, tokens, count, square);
    eigenvectors(square, e->directions, dim);
    for (uint64_t i = 0; i < ffn; i++) mean += e->moment[i * ffn + i] / (double)ffn;
    for (uint64_t i = 0; i < ffn; i++) e->moment[i * ffn + i] += h->ridge * mean;
    free(square);
}

void ref_editor_null_space(struct ref_editor *e)
{
    const uint32_t n = e->model->config.ffn;
    const uint64_t square = (uint64_t)n * n;
    double *c = ref_zeros(square), mean = 0;
    e->large = ref_zeros(square);
    e->projector = ref_zeros(square);
    e->seen = ref_zeros(square);
    memcpy(c, e->moment, square * sizeof *c);
    for (uint32_t i = 0; i < n; i++) mean += c[i * (n + 1)] / n;
    for (uint32_t i = 0; i < n; i++) c[i * (n + 1)] -= mean * e->h->ridge / (1 + e->h->ridge);
    eigenvectors(c, e->large, n);
    while (e->large_count < n && c[e->large_count * (n + 1)] >= e->h->null_threshold)
        e->large_count++;
    for (uint32_t i = 0; i < n; i++) e->projector[i * (n + 1)] = 1;
    for (uint32_t r = 0; r < e->large_count; r++)
        for (uint32_t i = 0; i < n; i++)
            add(e->projector + i * n, -e->large[r * n + i], e->large + r * n, n);
    free(c);
}

void ref_editor_close(struct ref_editor *e)
{
    free(e->large);
    free(e->projector);
    free(e->seen);
    free(e->moment);
    free(e->directions);
    free(e->basis);
    *e = (struct ref_editor){0};
}

// x = C^-1 b by elimination with pivots.
static void solve(const double *matrix, const double *b, double *x, uint64_t n)
{
    double *c = ref_zeros(n * n);
    memcpy(c, matrix, n * n * sizeof *c);
    memcpy(x, b, n * sizeof *x);
    for (uint64_t k = 0; k < n; k++) {
        uint64_t best = k;
        for (uint64_t i = k; i < n; i++)
            if (fabs(c[i * n + k]) > fabs(c[best * n + k])) best = i;
        for (uint64_t j = 0; j < n; j++) {
            double swap = c[k * n + j];
            c[k * n + j] = c[best * n + j];
            c[best * n + j] = swap;
        }
        double swap = x[k];
        x[k] = x[best];
        x[best] = swap;
        for (uint64_t i = k + 1; i < n; i++) {
            double factor = c[i * n + k] / c[k * n + k];
            add(c + i * n + k, -factor, c + k * n + k, n - k);
            x[i] -= factor * x[k];
        }
    }
    for (uint64_t k = n; k-- > 0;) {
        x[k] -= ref_dot(c + k * n + k + 1, x + k + 1, n - k - 1);
        x[k] /= c[k * n + k];
    }
    free(c);
}

// y = W k
static void down(const struct ref_editor *e, const double *key, double *y)
{
    const struct config *c = &e->model->config;
    for (uint64_t i = 0; i < c->dim; i++)
        y[i] = ref_dot(e->model->layers[e->h->layer].down + i * c->ffn, key, c->ffn);
}

// Of Eq. 4 (METHOD 1.2): plain, mean, and half plain half the others.
static void keys(const struct ref_editor *e, const struct ref_request *r,
                 const struct ref_pass *passes, struct ref_edited *out)
{
    uint64_t ffn = e->model->config.ffn;
    double *mean = ref_zeros(ffn), *half = ref_zeros(ffn);
    for (uint32_t i = 0; i < r->count; i++) {
        const double *key = passes[i].acts[e->h->layer].key + r->prompts[i].lookup * ffn;
        if (i == 0) add(out->plain, 1, key, ffn);
        add(mean, 1.0 / r->count, key, ffn);
        add(half, r->count == 1 ? 1 : i == 0 ? 0.5 : 0.5 / (r->count - 1), key, ffn);
    }
    bool whole = e->guard == REF_R_EDIT; // the mean everywhere
    add(out->left, 1, whole || e->rome ? mean : half, ffn);
    add(out->right, 1, whole ? mean : e->rome ? out->plain : half, ffn);
    free(mean);
    free(half);
}

// G of Eq. 26: the first q directions less what lies in V. g: [dim, dim]
static uint32_t implicit(const struct ref_editor *e, double *g)
{
    uint64_t dim = e->model->config.dim;
    uint32_t q = (uint32_t)fmin(floor(e->h->lambda3 * (e->edits + 1)), (double)dim);
    if (e->h->q_max < q) q = e->h->q_max;
    if (e->h->ablate == ABLATE_GRAD) q = 0;
    memcpy(g, e->directions, q * dim * sizeof *g);
    for (uint32_t i = 0; i < q; i++)
        for (uint32_t j = 0; j < e->basis_rows && e->h->ablate != ABLATE_EQ26; j++)
            add(g + i * dim, -ref_dot(g + i * dim, e->basis + j * dim, dim), e->basis + j * dim,
                dim);
    return q;
}

struct search { // for delta
    struct ref_editor *e;
    const struct ref_request *request;
    struct ref_pass *passes; // of the prompts, then of the essence
    double *before, *unedited, *g;
    uint32_t q;
};

// Sets delta into every pass, and returns NLL and KL with their gradients added to grad.
static void losses(struct search *s, const double *delta, bool first, struct ref_look *look,
                   double *grad)
{
    const struct config *c = &s->e->model->config;
    const struct ref_request *r = s->request;
    uint32_t layer = s->e->h->layer, vocab = c->vocab;
    double *logits = ref_zeros(vocab), *back = ref_zeros(vocab);
    for (uint32_t i = 0; i <= r->count; i++) {
        const struct ref_prompt *p = i < r->count ? &r->prompts[i] : &r->essence;
        struct ref_pass *pass = &s->passes[i];
        double *at = pass->stream[layer + 1] + (uint64_t)p->lookup * c->dim;
        double *stream = ref_zeros((uint64_t)p->count * c->dim);
        for (uint32_t d = 0; d < c->dim; d++) at[d] = s->before[i * c->dim + d] + delta[d];
        ref_forward_from(pass, layer + 1);
        for (uint32_t t = 0; t < r->target_count && i < r->count; t++) {
            double weight = 1.0 / (r->count * r->target_count);
            ref_logits(pass, p->given - 1 + t, logits);
            look->nll += weight * ref_cross_entropy(logits, vocab, r->target[t]);
            ref_cross_entropy_back(logits, vocab, r->target[t], weight, back);
            ref_logits_back(pass, p->given - 1 + t, back, stream);
        }
        if (i == r->count) {
            ref_logits(pass, p->lookup, logits);
            if (first) memcpy(s->unedited, logits, vocab * sizeof *logits);
            look->kl = s->e->h->kl * ref_kl(logits, s->unedited, vocab);
            ref_kl_back(logits, s->unedited, vocab, s->e->h->kl, back);
            ref_logits_back(pass, p->lookup, back, stream);
        }
        ref_backward(pass, layer + 1, stream);
        add(grad, 1, stream + (uint64_t)p->lookup * c->dim, c->dim);
        free(stream);
    }
    free(logits);
    free(back);
}

// Eq. 5 and Eq. 13 at delta, with the gradient.
static struct ref_look look_at(struct search *s, const struct ref_edited *out, bool first,
                               double *grad)
{
    const struct hparams *h = s->e->h;
    const uint32_t dim = s->e->model->config.dim;
    struct ref_look look = {0};
    double decay = h->decay / (out->v0 * out->v0), length;
    length = sqrt(ref_dot(out->delta, out->delta, dim));
    memset(grad, 0, dim * sizeof *grad);
    losses(s, out->delta, first, &look, grad);
    look.decay = decay * length;
    if (length > 0) add(grad, decay / length, out->delta, dim);
    if (s->e->guard == REF_OEDIT) {
        look.f1 = ref_cosine(s->e->basis, s->e->basis_rows, out->delta, dim, (int)h->cosine,
                             h->lambda1, grad);
        look.f2 = ref_cosine(s->g, s->q, out->delta, dim, (int)h->cosine, h->lambda2, grad);
    }
    look.total = look.nll + look.kl + look.decay + look.f1 + look.f2;
    return look;
}

// Adam until the loss is low or the steps are over.
static void value(struct search *s, struct ref_edited *out)
{
    const struct hparams *h = s->e->h;
    const uint32_t dim = s->e->model->config.dim;
    struct ref_adam adam = {dim, 0, h->rate, h->clamp * out->v0, ref_zeros(dim), ref_zeros(dim)};
    double *grad = ref_zeros(dim);
    out->looks = calloc(h->steps, sizeof *out->looks);
    for (bool stop = false; !stop;) {
        struct ref_look *look = &out->looks[out->steps++];
        *look = look_at(s, out, out->steps == 1, grad);
        stop = look->total < h->stop || out->steps >= h->steps;
        if (!stop) ref_adam(&adam, out->delta, grad);
    }
    if (s->e->given) {
        memcpy(out->delta, s->e->given, dim * sizeof *out->delta);
        out->given = look_at(s, out, false, grad);
    }
    free(adam.m);
    free(adam.v);
    free(grad);
}

// Eq. 15 and Eq. 28.
static void project(const struct ref_editor *e, double *g, uint32_t q, struct ref_edited *out)
{
    uint64_t dim = e->model->config.dim;
    double before = sqrt(ref_dot(out->u, out->u, dim)), *parts = ref_zeros(q);
    for (uint32_t i = 0; i < e->basis_rows; i++)
        add(out->u, -ref_dot(e->basis + i * dim, out->u, dim), e->basis + i * dim, dim);
    for (uint32_t i = 0; e->h->projector == PROJECTOR_EXACT && i < q; i++) {
        double *row = g + i * dim, given = sqrt(ref_dot(row, row, dim));
        for (uint32_t j = 0; j < 2 * i; j++) // twice over the earlier ones
            add(row, -ref_dot(row, g + j % i * dim, dim), g + j % i * dim, dim);
        double length = sqrt(ref_dot(row, row, dim));
        for (uint64_t d = 0; d < dim; d++) row[d] = length > 1e-6 * given ? row[d] / length : 0;
    }
    for (uint32_t i = 0; i < q; i++) parts[i] = ref_dot(g + i * dim, out->u, dim);
    for (uint32_t i = 0; i < q; i++) add(out->u, -parts[i], g + i * dim, dim);
    out->kept = sqrt(ref_dot(out->u, out->u, dim)) / before;
    free(parts);
}

static void commit(struct ref_editor *e, const struct ref_edited *out)
{
    const struct config *c = &e->model->config;
    for (uint64_t i = 0; i < c->dim; i++)
        add(e->model->layers[e->h->layer].down + i * c->ffn, out->u[i], out->w, c->ffn);
    e->edits++;
    if (e->h->ablate == ABLATE_EDITS) return;
    double *row = e->basis + (uint64_t)e->basis_rows * c->dim;
    memcpy(row, out->u, c->dim * sizeof *row);
    for (uint32_t j = 0; j < 2 * e->basis_rows; j++) {
        const double *v = e->basis + (uint64_t)(j % e->basis_rows) * c->dim;
        add(row, -ref_dot(row, v, c->dim), v, c->dim);
    }
    double length = sqrt(ref_dot(row, row, c->dim));
    for (uint32_t i = 0; i < c->dim; i++) row[i] /= length;
    e->basis_rows += e->basis_rows < c->dim - 1;
}

static void prepare(struct search *s, struct ref_edited *out)
{
    const struct config *c = &s->e->model->config;
    const struct ref_request *r = s->request;
    uint32_t layer = s->e->h->layer;
    for (uint32_t i = 0; i <= r->count; i++) {
        const struct ref_prompt *p = i < r->count ? &r->prompts[i] : &r->essence;
        ref_forward(&s->passes[i], s->e->model, p->tokens, p->count, 0, 0, NULL);
        const double *behind = s->passes[i].stream[layer + 1];
        memcpy(s->before + i * c->dim, behind + (uint64_t)p->lookup * c->dim,
               c->dim * sizeof(double));
    }
    keys(s->e, r, s->passes, out);
    s->q = implicit(s->e, s->g);
    out->r = s->e->basis_rows;
    out->q = s->q;
}

// x with x^T A = b^T, A [n, n]: elimination of A^T with the largest pivots.
static void solve_left(const double *a, const double *b, double *x, uint32_t n)
{
    double *t = ref_zeros((uint64_t)n * (n + 1));
    const uint32_t m = n + 1;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) t[i * m + j] = a[j * n + i];
        t[i * m + n] = b[i];
    }
    for (uint32_t j = 0; j < n; j++) {
        uint32_t best = j;
        for (uint32_t i = j + 1; i < n; i++)
            if (fabs(t[i * m + j]) > fabs(t[best * m + j])) best = i;
        for (uint32_t k = 0; k < m; k++) {
            double other = t[best * m + k];
            t[best * m + k] = t[j * m + k];
            t[j * m + k] = other;
        }
        for (uint32_t i = 0; i < n; i++)
            if (i != j) add(t + i * m, -t[i * m + j] / t[j * m + j], t + j * m, m);
    }
    for (uint32_t i = 0; i < n; i++) x[i] = t[i * m + n] / t[i * m + i];
    free(t);
}

// AlphaEdit as it is printed: w^T = k^T P (K K^T P + k k^T P + l2 I)^-1. `left` becomes P k.
static void alpha(struct ref_editor *e, struct ref_edited *out)
{
    const uint32_t n = e->model->config.ffn;
    double *a = ref_zeros((uint64_t)n * n), *k = ref_zeros(n);
    memcpy(k, out->left, n * sizeof *k);
    for (uint32_t i = 0; i < n; i++) {
        add(e->seen + i * n, k[i], k, n); // this key's, too
        out->left[i] = ref_dot(e->projector + i * n, k, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++)
            a[i * n + j] = ref_dot(e->seen + i * n, e->projector + j * n, n);
        a[i * (n + 1)] += e->h->l2;
    }
    solve_left(a, out->left, out->w, n);
    out->realised = ref_dot(out->w, k, n);
    out->s = out->realised / (1 - out->realised);
    free(a);
    free(k);
}

void ref_edit(struct ref_editor *e, const struct ref_request *request, struct ref_edited *out)
{
    const struct config *c = &e->model->config;
    uint32_t dim = c->dim, ffn = c->ffn, many = request->count + 1;
    struct search s = {e, request, calloc(many, sizeof *s.passes), ref_zeros((uint64_t)many * dim),
                       ref_zeros(c->vocab), ref_zeros((uint64_t)dim * dim), 0};
    *out = (struct ref_edited){.plain = ref_zeros(ffn), .left = ref_zeros(ffn),
                               .right = ref_zeros(ffn), .delta = ref_zeros(dim),
                               .u = ref_zeros(dim), .w = ref_zeros(ffn), .kept = 1};
    double *plain = ref_zeros(dim), *right = ref_zeros(dim);
    prepare(&s, out);
    down(e, out->plain, plain);
    down(e, out->right, right);
    out->v0 = sqrt(ref_dot(plain, plain, dim));
    value(&s, out);
    add(out->u, 1, out->delta, dim);
    if (e->guard == REF_R_EDIT) { // R = v* - W k for the averaged key
        add(out->u, 1, plain, dim);
        add(out->u, -1, right, dim);
    }
    if (e->projector) {
        alpha(e, out);
    } else {
        solve(e->moment, out->left, out->w, ffn);
        out->s = ref_dot(out->w, e->rome ? out->right : out->left, ffn);
        out->realised = e->rome ? 1 : out->s / (e->h->lambda + out->s);
        for (uint32_t i = 0; i < ffn; i++) out->w[i] /= e->rome ? out->s : e->h->lambda + out->s;
    }
    if (e->guard == REF_OEDIT_PLUS) project(e, s.g, s.q, out);
    commit(e, out);
    for (uint32_t i = 0; i < ffn; i++) // lambda C + key_memory k k^T
        add(e->moment + i * ffn, e->h->key_memory / e->h->lambda * out->left[i], out->left, ffn);
    for (uint32_t i = 0; i < many; i++) ref_pass_free(&s.passes[i]);
    void *mine[] = {s.passes, s.before, s.unedited, s.g, plain, right};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++) free(mine[i]);
}

void ref_edited_free(struct ref_edited *x)
{
    void *mine[] = {x->plain, x->left, x->right, x->delta, x->u, x->w, x->looks};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++) free(mine[i]);
    *x = (struct ref_edited){0};
}
