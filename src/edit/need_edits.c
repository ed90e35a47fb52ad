#include <math.h>
#include <string.h>

#include "edit/gauss.h"
#include "edit/need_work.h"
#include "state.def"

static uint64_t grown(uint64_t first, uint64_t wanted)
{
    while (first < wanted) first *= 2;
    return first;
}

static void layers(struct need_work *p)
{
    struct amount edited = {0}, down = {0};
    const struct tensor *t = weights_part(p->run->weights, PART_FFN_DOWN, (uint32_t)p->top);
    amount_add(&edited, 4 * p->dim * p->ffn, p->sites);
    amount_add(&down, need_stored(p, t), 1);
    need_item(p->need, "edited layers in f32", FROM(NEED_START), edited, 0);
    need_item(p->need, "a layer as stored, once more", AT(NEED_START), down, 0);
}

static uint64_t rows_of(const struct need_work *p, const struct need_request *r)
{
    return (p->prefixes + 1) * (r->given + r->targets - 1) + p->prefix_tokens + r->essence;
}

// As many requests together as edit/prepare.c takes; the largest batch counts.
static void prepare_all(struct need_work *p)
{
    const struct need_run *run = p->run;
    for (uint32_t i = 0, taken; i < run->count; i += taken) {
        struct rows r = {0};
        for (taken = 0; i + taken < run->count; taken++) {
            const struct need_request *q = &run->requests[i + taken];
            const uint64_t more = rows_of(p, q);
            if (taken > 0 && (p->sites > 1 || r.rows + more > PREPARE_ROWS)) break;
            const uint64_t longest = q->given + q->targets - 1 + p->prefix_longest;
            r = (struct rows){r.rows + more, r.texts + p->prefixes + 2,
                              longest > r.longest ? longest : r.longest};
        }
        if (r.rows > p->prepared.rows) p->prepared = r;
    }
    struct amount pass = {0}, kept = {0};
    need_pass(&pass, p->c, p->top + 1, p->prepared, false);
    amount_add(&kept, 4 * p->prepared.rows * p->dim, p->sites);
    amount_add(&kept, 4 * p->prepared.rows * p->ffn, p->sites);
    need_item(p->need, "a pass over requests", AT(NEED_PREPARE), pass, 0);
    need_item(p->need, "keys and residuals of requests", SPAN(NEED_PREPARE, NEED_COMMIT), kept, 0);
}

// Rows of the penalties: V and G (Eq. 9-14).
static uint64_t penalised(const struct need_work *p)
{
    uint64_t q = (uint64_t)(p->h->lambda3 * p->run->count), v = p->run->count;
    if (!p->run->guard->loss) return 1;
    if (q > p->h->q_max) q = p->h->q_max;
    return q > v ? q : v ? v : 1;
}

// The optimisation of a value (edit/value.c).
static struct amount value(const struct need_work *p, const struct need_request *r)
{
    const struct config *c = p->c;
    const uint64_t count = p->prefixes + 2, rows = rows_of(p, r), dim = 4 * p->dim;
    const uint64_t above = c->layers - p->top - 1, many = (p->prefixes + 1) * r->targets;
    const uint64_t before = (p->prefixes + 1) * r->lookup + p->prefix_tokens + r->essence - 1;
    const struct rows early = {before, count, r->lookup + p->prefix_longest};
    const struct rows late = {rows - before, 0, 0};
    struct amount sum = {0};
    need_batch(&sum, late);
    amount_add(&sum, 4 * late.rows, 1);
    amount_add(&sum, 4 * count, 2);
    if (before) {
        need_batch(&sum, early);
        amount_add(&sum, 4 * before, 1);
        need_acts(&sum, c, above, early, false);
    }
    need_head(&sum, c, many + 1);
    amount_add(&sum, 4 * many, 2);
    need_cache(&sum, c, above, rows);
    need_acts(&sum, c, above, late, true);
    need_grads(&sum, p->run->weights, late, late.rows > many ? late.rows : many + 1);
    amount_add(&sum, rows * dim, 1);
    amount_add(&sum, 4 * (many + 1), 2);
    amount_add(&sum, 8, 1);
    amount_add(&sum, 4ull * c->vocab, 1);
    amount_add(&sum, dim, 3);
    amount_add(&sum, 4 * STATE_SIZE, 1);
    amount_add(&sum, 4 * penalised(p), 2);
    if (p->h->optimizer == OPTIMIZER_GAUSS_NEWTON) {
        const uint64_t targets = count - 1;
        const uint64_t terms = (targets < GAUSS_GROUPS ? targets : GAUSS_GROUPS) + GAUSS_TERMS;
        amount_add(&sum, 2 * dim, 1);
        amount_add(&sum, (terms + 1) * dim, 1);
        amount_add(&sum, 4 * (terms + 1) * (terms + 1), 1);
        amount_add(&sum, 4 * terms, 1);
    }
    return sum;
}

// A forward and backward pass over a request (edit/answer.c).
static struct amount answer(const struct need_work *p, const struct need_request *r)
{
    const struct config *c = p->c;
    const uint64_t above = c->layers - p->top - 1, many = (p->prefixes + 1) * r->targets;
    const struct rows rows = {rows_of(p, r) - r->essence, p->prefixes + 1,
                              r->given + r->targets - 1 + p->prefix_longest};
    struct amount sum = {0};
    need_batch(&sum, rows);
    need_head(&sum, c, many);
    amount_add(&sum, 4 * many, 4);
    need_cache(&sum, c, above, rows.rows);
    need_acts(&sum, c, above, rows, true);
    need_grads(&sum, p->run->weights, rows, rows.rows > many ? rows.rows : many);
    amount_add(&sum, 4 * rows.rows * p->dim, 1);
    return sum;
}

static void tuning(struct need_work *p)
{
    struct amount sum = {0};
    amount_add(&sum, 4 * p->dim * p->ffn, 4);
    need_item(p->need, "dW, its gradient, Adam's means", FROM(NEED_START), sum, 0);
}

// UltraEdit's running statistics, its pairs, and its system of as many equations.
static void ultra(struct need_work *p)
{
    const uint64_t n = p->pairs, square = 4 * n * (CEIL(n, 4) * 4);
    struct amount sum = {0}, solve = {0};
    amount_add(&sum, 4 * p->ffn, 2);
    amount_add(&sum, 4 * p->dim, 2);
    amount_add(&sum, 4 * n * (p->dim + p->ffn), 1);
    amount_add(&sum, 4 * n * p->dim, 1);
    amount_add(&sum, 4 * n * p->ffn, 1);
    amount_add(&solve, square, 2);
    amount_add(&solve, 4 * n * n, 1);
    amount_add(&solve, 4 * n * p->ffn, 1);
    amount_add(&solve, 4 * n, 1);
    amount_add(&solve, 4 * n * p->dim, 1);
    need_factor(&solve, n);
    need_item(p->need, "pairs and running statistics", FROM(NEED_STEPS), sum, 0);
    need_item(p->need, "UltraEdit's system", AT(NEED_COMMIT), solve, 0);
}

static void edits(struct need_work *p)
{
    const struct need_run *run = p->run;
    struct amount most = {0};
    for (uint32_t i = 0; i < run->count; i++) {
        const struct need_request *r = &run->requests[i];
        const struct amount one = run->solver->make ? answer(p, r) : value(p, r);
        const uint64_t pairs = (p->prefixes + 1) * r->targets;
        if (one.bytes > most.bytes) most = one;
        if (run->solver->make && !run->solver->dense && pairs > p->pairs) p->pairs = pairs;
    }
    need_item(p->need, run->solver->make ? "a look at an answer" : "the optimisation of a value",
              AT(NEED_STEPS), most, 0);
    if (run->solver->dense) tuning(p);
    else if (run->solver->make) ultra(p);
}

// ---- what guards and AlphaEdit remember ----

static void basis(struct need_work *p, const char *name, uint64_t dim, uint64_t first,
                  uint64_t rows)
{
    struct amount now = {0}, smaller = {0};
    const uint64_t capacity = grown(first, rows < dim ? rows : dim);
    need_basis(&now, dim, capacity);
    if (capacity > first) need_basis(&smaller, dim, capacity / 2);
    need_item(p->need, name, FROM(NEED_START), now, 0);
    need_item(p->need, "the same while it grows", AT(NEED_COMMIT), smaller, 0);
}

static void earlier_keys(struct need_work *p)
{
    const uint64_t n = grown(16, p->run->count);
    struct amount inner = {0};
    amount_add(&inner, 4 * n * n, 1);
    amount_add(&inner, 12 * n, 1);
    need_factor(&inner, n);
    basis(p, "earlier keys", p->ffn, 16, p->run->count);
    need_item(p->need, "products of earlier keys", FROM(NEED_FACTOR), inner, 4 * n * n);
}

static void core_space(struct need_work *p)
{
    const bool exact = p->h->projector == PROJECTOR_EXACT && p->h->ablate != ABLATE_EQ26;
    const uint64_t t = p->run->count * p->pairs, q = (uint64_t)(p->h->lambda3 * p->run->count);
    struct amount sum = {0};
    amount_add(&sum, 4 * p->dim * p->dim, 2 * p->sites);
    amount_add(&sum, 4 * p->dim, 2 * p->sites);
    need_item(p->need, "directions freed of V", FROM(NEED_START), sum, 0);
    basis(p, "V, a basis of earlier edits", p->dim, 64, t);
    basis(p, "a basis of V and G", p->dim, 64, exact ? t + (q < p->h->q_max ? q : p->h->q_max) : 1);
}

static void sphere(struct need_work *p)
{
    const uint64_t d = p->dim, m = p->ffn, k = d < m ? d : m;
    struct amount svd = {0}, kept = {0}, use = {0};
    amount_add(&svd, 4 * d * m, 1);
    amount_add(&svd, 4 * k, 1);
    amount_add(&svd, 4 * k * m, 1);
    need_svd(&svd, d, m, false, true);
    amount_add(&kept, 4 * k * m, p->sites);
    const uint64_t rows = p->run->solver->dense ? d : p->pairs;
    amount_add(&use, 4 * rows * (k + 3), 1);
    need_item(p->need, "the decomposition of W", AT(NEED_START), svd, 0);
    need_item(p->need, "directions of W's rows, at most", FROM(NEED_PREPARE), kept, 0);
    need_item(p->need, "coefficients", AT(NEED_COMMIT), use, 0);
}

static void prune(struct need_work *p)
{
    const uint64_t t = p->run->count * p->pairs, capacity = grown(16, t), d = p->dim, m = p->ffn;
    const uint64_t least = d < m ? d : m, k = t < least ? t : least;
    struct amount pairs = {0}, half = {0}, svd = {0}, top = {0};
    amount_add(&pairs, 4 * capacity * d, p->sites);
    amount_add(&pairs, 4 * capacity * m, p->sites);
    if (capacity > 16) {
        amount_add(&half, 2 * capacity * d, 1);
        amount_add(&half, 2 * capacity * m, 1);
    }
    // max sigma(W) first, then the pairs': the larger one counts.
    need_unpack(&top, weights_part(p->run->weights, PART_FFN_DOWN, (uint32_t)p->top));
    amount_add(&top, 4 * least, 1);
    need_svd(&top, d, m, false, false);
    amount_add(&svd, 4 * k * d, 1);
    amount_add(&svd, 4 * k * m, 1);
    amount_add(&svd, 4 * k, 1);
    need_pairs_svd(&svd, t, d, m);
    struct amount unfinished = {0};
    amount_add(&unfinished, 4 * d * m, p->sites);
    need_item(p->need, "pairs of earlier edits", FROM(NEED_START), pairs, 0);
    need_item(p->need, "the same while they grow", AT(NEED_COMMIT), half, 0);
    need_item(p->need, "decompositions of W and dW", AT(NEED_FINISH),
              top.bytes > svd.bytes ? top : svd, 0);
    need_item(p->need, "weights as they were", FROM(NEED_FINISH), unfinished, 0);
}

static void write_out(struct need_work *p)
{
    const struct tensor *t = weights_part(p->run->weights, PART_FFN_DOWN, (uint32_t)p->top);
    struct amount sum = {0};
    if (p->run->rounded) {
        need_unpack(&sum, t);
        need_unpack(&sum, t);
        amount_add(&sum, 4 * p->dim * p->ffn, 1);
        amount_add(&sum, 4 * p->dim, 1);
    }
    const uint64_t host = 4 * p->dim * p->ffn;
    need_item(p->need, "edited layers to be written", AT(NEED_WRITE), sum, host * (p->sites + 1));
}

// The control `random`: as many directions as O-Edit+ has (edit/controls.c).
static void random_space(struct need_work *p)
{
    const double t = p->run->count, knob = p->h->knob, dim = (double)p->dim;
    double q = floor(p->h->lambda3 * t);
    struct amount sum = {0};
    if (q > p->h->q_max) q = p->h->q_max;
    const double rows = fmin(dim, knob > 0 ? floor(knob * t) : t - 1 + q);
    amount_add(&sum, 4 * p->dim, 2);
    need_item(p->need, "a random direction", FROM(NEED_START), sum, 0);
    basis(p, "random directions", p->dim, 64, (uint64_t)rows);
}

void need_edits(struct need_work *p)
{
    layers(p);
    prepare_all(p);
    edits(p);
    if (p->run->solver->null_space) earlier_keys(p);
    if (p->run->guard->directions) core_space(p);
    if (strcmp(p->run->guard->name, "sphere") == 0) sphere(p);
    if (strcmp(p->run->guard->name, "random") == 0) random_space(p);
    if (p->run->guard->finish) prune(p);
    write_out(p);
}
