#include "edit/need.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "edit/gauss.h"
#include "edit/stats.h"
#include "linalg/range.h"
#include "state.def"
#include "vk/buffer.h"

const char *const need_phase_names[NEED_PHASES] = {
    "load", "tiles", "contexts", "own text", "C", "factor", "grad G", "directions", "start",
    "prepare", "value", "commit", "finish", "write"};

const char *const need_group_names[NEED_PHASES] = {
    "load", "load", "statistics", "statistics", "statistics", "statistics", "grad", "grad",
    "edits", "edits", "edits", "edits", "write", "write"};

#define AT(phase) (1u << (phase))
#define FROM(phase) ((AT(NEED_PHASES) - 1) & ~(AT(phase) - 1))
#define SPAN(first, last) (FROM(first) & ~FROM((last) + 1))

static void item(struct need *n, const char *name, unsigned phases, struct amount device,
                 uint64_t host)
{
    if (n->count == NEED_ITEMS || !(device.bytes || host)) return;
    n->items[n->count++] = (struct need_item){name, phases, device, host};
}

// What the functions below are about.
struct plan {
    struct need *need;
    const struct need_run *run;
    const struct config *c;
    const struct hparams *h;
    uint64_t dim, ffn, sites, top;          // edited layers; the highest of them
    uint64_t prefixes, prefix_tokens, prefix_longest;
    uint64_t requests_rows;                 // of the largest batch that is prepared
    struct rows prepared;
    uint64_t pairs;                         // of one edit
};

static uint64_t grown(uint64_t first, uint64_t wanted)
{
    while (first < wanted) first *= 2;
    return first;
}

// ---- the model ----

static uint64_t stored(const struct plan *p, const struct tensor *t)
{
    return p->run->as_q4 && t->rows > 1 && t->cols % 32 == 0 ? t->rows * t->cols / 32 * 18
                                                            : t->bytes;
}

static void load(struct plan *p)
{
    static const bool vector[PART_COUNT] = {
        [PART_OUTPUT_NORM] = true, [PART_ATTN_NORM] = true, [PART_FFN_NORM] = true,
        [PART_Q_BIAS] = true, [PART_K_BIAS] = true, [PART_V_BIAS] = true, [PART_O_BIAS] = true,
        [PART_GATE_BIAS] = true, [PART_UP_BIAS] = true, [PART_DOWN_BIAS] = true};
    enum { WORTH_TUNING = 32 << 20, OUTS = 1152, INNER = 768, SHARED = 64 }; // ops/tune.c
    struct amount sum = {0}, tables = {0}, tiles = {0};
    for (int part = 0; part < PART_COUNT; part++)
        for (uint32_t i = 0; i < (part < PART_ATTN_NORM ? 1 : p->c->layers); i++) {
            const struct tensor *t = weights_part(p->run->weights, (enum part)part, i);
            if (!t || part == PART_ROPE_FREQS || (part == PART_OUTPUT && p->c->tied)) continue;
            amount_add(&sum, stored(p, t), 1);
            if (vector[part] && t->dtype != DTYPE_F32) amount_add(&sum, 4 * t->cols, 1);
        }
    const uint64_t positions = p->c->context && p->c->context < MODEL_POSITIONS ? p->c->context
                                                                                : MODEL_POSITIONS;
    amount_add(&tables, positions * p->c->head_dim * 4, 1);
    amount_add(&tables, 4 * MODEL_IOTA, 1);
    item(p->need, "weights as stored", FROM(NEED_LOAD), sum, 0);
    item(p->need, "tables", FROM(NEED_LOAD), tables, 0);
    amount_add(&tiles, 4ull * OUTS * INNER, 1);
    amount_add(&tiles, 4ull * OUTS * SHARED, 1);
    if (sum.bytes + tables.bytes >= WORTH_TUNING)
        item(p->need, "timing of products", AT(NEED_TILES), tiles, 0);
}

static void generation(struct plan *p, const char *name, enum need_phase phase, uint64_t texts,
                       uint64_t start, uint64_t tokens, uint64_t top)
{
    struct amount sum = {0};
    const struct rows first = {texts * start, texts, start};
    need_cache(&sum, p->c, p->c->layers, texts * (start + tokens));
    need_batch(&sum, first);
    need_acts(&sum, p->c, p->c->layers, first, false);
    need_head(&sum, p->c, texts);
    amount_add(&sum, 4 * texts * top, 2);
    if (texts) item(p->need, name, AT(phase), sum, 0);
}

// ---- text: prefixes, C, grad G ----

enum { START = 2, STARTS = 5 }; // tokens that a sampled text starts with; edit/contexts.c

static void prefixes(struct plan *p)
{
    const struct hparams *h = p->h;
    uint64_t longer = h->contexts, shorter = 0;
    if (h->context_text_count) { // as many bytes as a token has at the least, on the average
        p->prefixes = h->context_text_count;
        for (uint32_t i = 0; i < h->context_text_count; i++) {
            const uint64_t tokens = strlen(h->context_texts[i]) / 4 + 2;
            p->prefix_tokens += tokens;
            if (tokens > p->prefix_longest) p->prefix_longest = tokens;
        }
        return;
    }
    if (h->context_short != h->context_long) shorter = h->contexts / 2 / STARTS * STARTS;
    longer -= shorter;
    p->prefixes = h->contexts;
    // The start's word and the full stop behind count, the first token does not.
    p->prefix_tokens = longer * (h->context_long + START) + shorter * (h->context_short + START);
    p->prefix_longest = h->contexts ? h->context_long + START : 0;
    const bool both = longer * (h->context_long + START) > shorter * (h->context_short + START);
    generation(p, "sampled prefixes", NEED_CONTEXTS, both ? longer : shorter, START,
               both ? h->context_long : h->context_short, 5);
}

static uint64_t text_tokens(const struct plan *p)
{
    enum { OWN = 32 * 128 }; // tokens that are sampled together
    if (p->run->text) return p->run->tokens ? p->run->tokens : p->h->stats_tokens;
    return CEIL(p->run->tokens ? p->run->tokens : 2 * p->ffn, OWN) * OWN;
}

static void sampled_text(struct plan *p)
{
    if (!p->run->text) generation(p, "sampled text", NEED_SAMPLES, 32, 1, 127, 50);
    item(p->need, "the text's tokens", SPAN(NEED_SAMPLES, NEED_DIRECTIONS), (struct amount){0},
         4 * text_tokens(p));
}

// C and its factor, or AlphaEdit's null space of it, of all layers; those measured before stay.
static void moment(struct plan *p)
{
    const uint64_t n = p->ffn, square = 4 * n * n, block = p->run->text ? p->h->block : 128;
    struct amount c = {0}, pass = {0}, factor = {0}, kept = {0}, spectrum = {0};
    const bool null = p->run->solver->null_space;
    amount_add(&c, square, 1);
    need_pass(&pass, p->c, p->top + 1, rows_of_text(text_tokens(p), block), false);
    amount_add(&pass, 16, 1);
    need_factor(&factor, n);
    if (null) {
        amount_add(&kept, square / 2, 1);
        amount_add(&kept, 2 * n, 1);
        amount_add(&spectrum, square, 1);
        amount_add(&spectrum, 4 * n, 1);
        need_svd(&spectrum, n, n, true, false);
    } else {
        amount_both(&kept, c, 1);
        amount_both(&kept, factor, 1);
    }
    struct amount before = {0}, all = {0};
    amount_both(&before, kept, p->sites - 1);
    amount_both(&all, kept, p->sites);
    item(p->need, "C, factors of the layers before", SPAN(NEED_MOMENT, NEED_FACTOR), before, 0);
    item(p->need, "C", SPAN(NEED_MOMENT, NEED_FACTOR), c, 0);
    item(p->need, "a pass over text", AT(NEED_MOMENT), pass, square);
    if (null)
        item(p->need, "the spectrum of C", AT(NEED_FACTOR), spectrum, square + 4 * n);
    else
        item(p->need, "the factor of C", AT(NEED_FACTOR), factor, 0);
    item(p->need, null ? "the null space of C, at most" : "C and its factor", FROM(NEED_GRADIENT),
         all, 0);
}

static bool gradient(struct plan *p)
{
    const uint64_t d = p->dim, square = 4 * d * d;
    uint64_t tokens = text_tokens(p) / 4;
    uint32_t count = 0;
    const struct model shape = {.config = *p->c};
    struct amount g = {0}, slope = {0}, rows = {0}, svd = {0}, before = {0}, all = {0};
    if (!stats_count(&shape, p->h, &count)) return false;
    if (p->run->text || p->h->grad_source) tokens = p->h->grad_tokens;
    if (p->run->text && tokens > text_tokens(p)) tokens = text_tokens(p);
    const struct rows r = rows_of_text(tokens, p->run->text ? p->h->block : 128);
    const uint64_t targets = r.rows - r.texts;
    amount_add(&g, 4 * d * p->ffn, 1);
    need_pass(&slope, p->c, p->c->layers, r, true);
    need_grads(&slope, p->run->weights, r, r.rows);
    amount_add(&slope, 4 * r.rows * p->ffn, 1);
    amount_add(&slope, 16, 1);
    need_head(&slope, p->c, targets);
    amount_add(&slope, 4 * targets, 4);
    amount_add(&rows, square, 1);
    if (count < d)
        need_range(&svd, d, p->ffn, count);
    else
        need_svd(&svd, d, p->ffn, true, false);
    amount_add(&svd, 4 * d, 1);
    amount_both(&before, rows, p->sites - 1);
    amount_both(&all, rows, p->sites);
    item(p->need, "directions of the layers before", SPAN(NEED_MOMENT, NEED_DIRECTIONS), before, 0);
    item(p->need, "grad G", SPAN(NEED_GRADIENT, NEED_DIRECTIONS), g, 0);
    item(p->need, "a pass over text, there and back", AT(NEED_GRADIENT), slope, 0);
    item(p->need, count < d ? "directions of grad G by probes" : "the decomposition of grad G",
         AT(NEED_DIRECTIONS), svd, square);
    item(p->need, "directions of grad G", FROM(NEED_DIRECTIONS), all, 0);
    return true;
}

// ---- edits ----

static void vectors(struct plan *p)
{
    struct amount sum = {0};
    amount_add(&sum, 4 * p->dim, 4);
    amount_add(&sum, 4 * p->ffn, 4);
    amount_add(&sum, 64, 1);
    if (p->sites > 1) {
        amount_add(&sum, 4 * p->dim, EDIT_VECTORS / 2);
        amount_add(&sum, 4 * p->ffn, EDIT_VECTORS / 2);
    }
    if (p->run->solver->null_space || p->h->key_memory > 0) amount_add(&sum, 4 * p->ffn, 1);
    item(p->need, "vectors of an edit", FROM(NEED_CONTEXTS), sum, 0);
}

static void layers(struct plan *p)
{
    struct amount edited = {0}, down = {0};
    const struct tensor *t = weights_part(p->run->weights, PART_FFN_DOWN, (uint32_t)p->top);
    amount_add(&edited, 4 * p->dim * p->ffn, p->sites);
    amount_add(&down, stored(p, t), 1);
    item(p->need, "edited layers in f32", FROM(NEED_START), edited, 0);
    item(p->need, "a layer as stored, once more", AT(NEED_START), down, 0);
}

static uint64_t rows_of(const struct plan *p, const struct need_request *r)
{
    return (p->prefixes + 1) * (r->given + r->targets - 1) + p->prefix_tokens + r->essence;
}

// As many requests together as edit/prepare.c takes; the largest batch counts.
static void prepare_all(struct plan *p)
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
    item(p->need, "a pass over requests", AT(NEED_PREPARE), pass, 0);
    item(p->need, "keys and residuals of requests", SPAN(NEED_PREPARE, NEED_COMMIT), kept, 0);
}

// Rows of the penalties: V and G (Eq. 9-14).
static uint64_t penalised(const struct plan *p)
{
    uint64_t q = (uint64_t)(p->h->lambda3 * p->run->count), v = p->run->count;
    if (!p->run->guard->loss) return 1;
    if (q > p->h->q_max) q = p->h->q_max;
    return q > v ? q : v ? v : 1;
}

// The optimisation of a value (edit/value.c).
static struct amount value(const struct plan *p, const struct need_request *r)
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
static struct amount answer(const struct plan *p, const struct need_request *r)
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

static void tuning(struct plan *p)
{
    struct amount sum = {0};
    amount_add(&sum, 4 * p->dim * p->ffn, 4);
    item(p->need, "dW, its gradient, Adam's means", FROM(NEED_START), sum, 0);
}

// UltraEdit's running statistics, its pairs, and its system of as many equations.
static void ultra(struct plan *p)
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
    item(p->need, "pairs and running statistics", FROM(NEED_STEPS), sum, 0);
    item(p->need, "UltraEdit's system", AT(NEED_COMMIT), solve, 0);
}

static void edits(struct plan *p)
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
    item(p->need, run->solver->make ? "a look at an answer" : "the optimisation of a value",
         AT(NEED_STEPS), most, 0);
    if (run->solver->dense) tuning(p);
    else if (run->solver->make) ultra(p);
}

// ---- what guards and AlphaEdit remember ----

static void basis(struct plan *p, const char *name, uint64_t dim, uint64_t first, uint64_t rows)
{
    struct amount now = {0}, smaller = {0};
    const uint64_t capacity = grown(first, rows < dim ? rows : dim);
    need_basis(&now, dim, capacity);
    if (capacity > first) need_basis(&smaller, dim, capacity / 2);
    item(p->need, name, FROM(NEED_START), now, 0);
    item(p->need, "the same while it grows", AT(NEED_COMMIT), smaller, 0);
}

static void earlier_keys(struct plan *p)
{
    const uint64_t n = grown(16, p->run->count);
    struct amount inner = {0};
    amount_add(&inner, 4 * n * n, 1);
    amount_add(&inner, 12 * n, 1);
    need_factor(&inner, n);
    basis(p, "earlier keys", p->ffn, 16, p->run->count);
    item(p->need, "products of earlier keys", FROM(NEED_FACTOR), inner, 4 * n * n);
}

static void core_space(struct plan *p)
{
    const bool exact = p->h->projector == PROJECTOR_EXACT && p->h->ablate != ABLATE_EQ26;
    const uint64_t t = p->run->count * p->pairs, q = (uint64_t)(p->h->lambda3 * p->run->count);
    struct amount sum = {0};
    amount_add(&sum, 4 * p->dim * p->dim, 2 * p->sites);
    amount_add(&sum, 4 * p->dim, 2 * p->sites);
    item(p->need, "directions freed of V", FROM(NEED_START), sum, 0);
    basis(p, "V, a basis of earlier edits", p->dim, 64, t);
    basis(p, "a basis of V and G", p->dim, 64, exact ? t + (q < p->h->q_max ? q : p->h->q_max) : 1);
}

static void sphere(struct plan *p)
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
    item(p->need, "the decomposition of W", AT(NEED_START), svd, 0);
    item(p->need, "directions of W's rows, at most", FROM(NEED_PREPARE), kept, 0);
    item(p->need, "coefficients", AT(NEED_COMMIT), use, 0);
}

static void prune(struct plan *p)
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
    item(p->need, "pairs of earlier edits", FROM(NEED_START), pairs, 0);
    item(p->need, "the same while they grow", AT(NEED_COMMIT), half, 0);
    item(p->need, "decompositions of W and dW", AT(NEED_FINISH), top.bytes > svd.bytes ? top : svd,
         0);
    item(p->need, "weights as they were", FROM(NEED_FINISH), unfinished, 0);
}

static void write_out(struct plan *p)
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
    item(p->need, "edited layers to be written", AT(NEED_WRITE), sum, host * (p->sites + 1));
}

// ---- the whole ----

static void sum_up(struct need *n)
{
    uint64_t shared = 0; // blocks of small buffers are kept
    for (uint32_t phase = 0; phase < NEED_PHASES; phase++) {
        struct need_sum *s = &n->sums[phase];
        uint64_t apart = 0;
        for (uint32_t i = 0; i < n->count; i++) {
            const struct need_item *t = &n->items[i];
            if (!(t->phases & AT(phase))) continue;
            s->device += t->device.bytes;
            s->host += t->host;
            apart += t->device.apart;
            if (t->device.largest > n->largest) {
                n->largest = t->device.largest;
                n->largest_in = t->name;
            }
        }
        if (s->device - apart > shared) shared = s->device - apart;
        s->reserved = apart + CEIL(shared, BUFFER_BLOCK_BYTES) * BUFFER_BLOCK_BYTES;
        if (s->device > n->device) {
            n->device = s->device;
            n->peak = (enum need_phase)phase;
        }
        if (s->reserved > n->reserved) n->reserved = s->reserved;
        if (s->host > n->host) n->host = s->host;
    }
}

bool need_of(struct need *need, const struct need_run *run)
{
    const struct hparams *h = run->hparams;
    const struct config *c = &run->weights->config;
    *need = (struct need){0};
    struct plan p = {.need = need, .run = run, .c = c, .h = h, .dim = c->dim, .ffn = c->ffn,
                     .sites = h->layer_count ? h->layer_count : 1, .pairs = 1,
                     .top = h->layer_count ? h->layers[h->layer_count - 1] : h->layer};
    const bool directions = run->guard->directions && h->ablate != ABLATE_GRAD;
    if (p.top >= c->layers)
        return fail(STATUS_USAGE, "--layer: got %llu, the model has layers 0 to %u",
                    (unsigned long long)p.top, c->layers - 1);
    load(&p);
    vectors(&p);
    prefixes(&p);
    if (!run->solver->make || run->guard->directions) sampled_text(&p);
    if (!run->solver->make) moment(&p);
    if (directions && !gradient(&p)) return false;
    layers(&p);
    prepare_all(&p);
    edits(&p);
    if (run->solver->null_space) earlier_keys(&p);
    if (run->guard->directions) core_space(&p);
    if (strcmp(run->guard->name, "sphere") == 0) sphere(&p);
    if (run->guard->finish) prune(&p);
    write_out(&p);
    sum_up(need);
    return true;
}

bool need_request(struct need_request *r, const struct tokenizer *tokenizer,
                  const struct request *request)
{
    struct prompts prompts;
    if (!prompts_new(&prompts, tokenizer, request, NULL, 0)) return false;
    const struct prompt *plain = &prompts.items[0], *essence = &prompts.items[prompts.count - 1];
    *r = (struct need_request){plain->given, plain->lookup, prompts.target_count, essence->count};
    prompts_free(&prompts);
    return true;
}
