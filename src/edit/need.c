#include <math.h>
#include <string.h>

#include "base/status.h"
#include "edit/need_work.h"
#include "edit/stats.h"
#include "linalg/range.h"
#include "model/stream.h"

const char *const need_phase_names[NEED_PHASES] = {
    "load", "tiles", "contexts", "own text", "C", "factor", "grad G", "directions", "start",
    "prepare", "value", "commit", "finish", "answers", "write"};

const char *const need_group_names[NEED_PHASES] = {
    "load", "load", "statistics", "statistics", "statistics", "statistics", "grad", "grad",
    "edits", "edits", "edits", "edits", "write", "write", "write"};

void need_item(struct need *n, const char *name, unsigned phases, struct amount device,
               uint64_t host)
{
    if (n->count == NEED_ITEMS || !(device.bytes || host)) return;
    n->items[n->count++] = (struct need_item){name, phases, device, host};
}

// ---- the model ----

uint64_t need_stored(const struct need_work *p, const struct tensor *t)
{
    return p->run->as_q4 && t->rows > 1 && t->cols % 32 == 0 ? t->rows * t->cols / 32 * 18
                                                            : t->bytes;
}

static void load(struct need_work *p)
{
    static const bool vector[PART_COUNT] = {
        [PART_OUTPUT_NORM] = true, [PART_ATTN_NORM] = true, [PART_FFN_NORM] = true,
        [PART_Q_BIAS] = true, [PART_K_BIAS] = true, [PART_V_BIAS] = true, [PART_O_BIAS] = true,
        [PART_GATE_BIAS] = true, [PART_UP_BIAS] = true, [PART_DOWN_BIAS] = true};
    enum { WORTH_TUNING = 32 << 20, OUTS = 1152, INNER = 768, SHARED = 64 }; // ops/tune.c
    struct amount sum = {0}, left = {0}, slots = {0}, tables = {0}, tiles = {0};
    for (int part = 0; part < PART_COUNT; part++)
        for (uint32_t i = 0; i < (part < PART_ATTN_NORM ? 1 : p->c->layers); i++) {
            const struct tensor *t = weights_part(p->run->weights, (enum part)part, i);
            if (!t || part == PART_ROPE_FREQS || (part == PART_OUTPUT && p->c->tied)) continue;
            const bool streamed = part >= PART_ATTN_NORM && !vector[part] && i < p->run->streamed;
            amount_add(streamed ? &left : &sum, need_stored(p, t), 1);
            if (vector[part] && t->dtype != DTYPE_F32) amount_add(&sum, 4 * t->cols, 1);
        }
    const uint64_t slot = stream_slot(p->run->weights, p->run->streamed);
    if (slot) amount_add(&slots, slot, STREAM_SLOTS);
    const uint64_t positions = p->c->context && p->c->context < MODEL_POSITIONS ? p->c->context
                                                                                : MODEL_POSITIONS;
    amount_add(&tables, positions * p->c->head_dim * 4, 1);
    amount_add(&tables, 4 * MODEL_IOTA, 1);
    need_item(p->need, "weights as stored", FROM(NEED_LOAD), sum, 0);
    need_item(p->need, "slots of streamed layers", FROM(NEED_LOAD), slots, 0);
    need_item(p->need, "tables", FROM(NEED_LOAD), tables, 0);
    amount_add(&tiles, 4ull * OUTS * INNER, 1);
    amount_add(&tiles, 4ull * OUTS * SHARED, 1);
    if (sum.bytes + left.bytes + tables.bytes >= WORTH_TUNING)
        need_item(p->need, "timing of products", AT(NEED_TILES), tiles, 0);
}

// Texts that go on for `tokens` more, `first` being what they start with.
static struct amount going_on(const struct need_work *p, struct rows first, uint64_t tokens,
                              uint64_t top)
{
    struct amount sum = {0};
    need_cache(&sum, p->c, p->c->layers, first.rows + first.texts * tokens);
    need_batch(&sum, first);
    need_acts(&sum, p->c, p->c->layers, first, false);
    need_head(&sum, p->c, first.texts);
    amount_add(&sum, 4 * first.texts * top, 2);
    return sum;
}

static void generation(struct need_work *p, const char *name, enum need_phase phase, uint64_t texts,
                       uint64_t start, uint64_t tokens, uint64_t top)
{
    const struct rows first = {texts * start, texts, start};
    if (texts) need_item(p->need, name, AT(phase), going_on(p, first, tokens, top), 0);
}

// Of the batches in which prompts are answered, the largest.
static void answers(struct need_work *p)
{
    const struct need_run *run = p->run;
    struct amount most = {0};
    for (uint32_t i = 0; run->answers && i < run->count; i += run->together) {
        struct rows r = {0};
        for (uint32_t k = i; k < run->count && k < i + run->together; k++) {
            const uint64_t given = run->requests[k].given;
            r = (struct rows){r.rows + given, r.texts + 1, given > r.longest ? given : r.longest};
        }
        const struct amount one = going_on(p, r, run->answers, 1);
        if (one.bytes > most.bytes) most = one;
    }
    need_item(p->need, "answers", AT(NEED_TILES) | AT(NEED_ANSWERS), most, 0);
}

// ---- text: prefixes, C, grad G ----

enum { START = 2, STARTS = 5 }; // tokens that a sampled text starts with; edit/contexts.c

static void prefixes(struct need_work *p)
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

static uint64_t text_tokens(const struct need_work *p)
{
    enum { OWN = 32 * 128 }; // tokens that are sampled together
    if (p->run->text) return p->run->tokens ? p->run->tokens : p->h->stats_tokens;
    return CEIL(p->run->tokens ? p->run->tokens : 2 * p->ffn, OWN) * OWN;
}

static void sampled_text(struct need_work *p)
{
    if (!p->run->text) generation(p, "sampled text", NEED_SAMPLES, 32, 1, 127, 50);
    need_item(p->need, "the text's tokens", SPAN(NEED_SAMPLES, NEED_DIRECTIONS), (struct amount){0},
              4 * text_tokens(p));
}

// Sums over text wait on the host to be joined two by two, on the device, between passes over text
// (edit/tree.h). Returns how many wait at most.
static uint64_t joining(struct amount *pass, uint64_t bytes, uint64_t tokens, uint64_t block)
{
    struct amount other = {0};
    const struct rows r = rows_of_text(tokens, block);
    if (block > tokens) block = tokens;
    const uint64_t blocks = CEIL(tokens, block ? block : 1);
    amount_add(&other, bytes, 1);
    if (other.bytes > pass->bytes) *pass = other;
    return tree_waiting((uint32_t)CEIL(blocks, r.texts ? r.texts : 1));
}

// C and its factor, or AlphaEdit's null space of it, of all layers; those measured before stay. C of
// several layers is summed before there is any factor, unless the sums are too large for that.
static void moment(struct need_work *p)
{
    const uint64_t n = p->ffn, square = 4 * n * n, block = p->run->text ? p->h->block : 128;
    struct amount c = {0}, pass = {0}, factor = {0}, kept = {0}, spectrum = {0};
    const bool null = p->run->solver->null_space;
    amount_add(&c, square, 1);
    need_pass(&pass, p->c, p->top + 1, rows_of_text(text_tokens(p), block), false);
    amount_add(&pass, 16, 1);
    const uint64_t waiting = joining(&pass, square, text_tokens(p), block);
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
    struct amount before = {0}, sums = {0}, all = {0};
    const uint64_t together =
        stats_together((uint32_t)p->ffn, (uint32_t)waiting, (uint32_t)p->sites);
    amount_both(&before, kept, p->sites - 1);
    amount_both(&sums, c, together);
    amount_both(&all, kept, p->sites);
    need_item(p->need, "C, factors of the layers before",
              together > 1 ? AT(NEED_FACTOR) : SPAN(NEED_MOMENT, NEED_FACTOR), before, 0);
    need_item(p->need, "C of the layers at work", AT(NEED_MOMENT), sums, 0);
    need_item(p->need, "C", AT(NEED_FACTOR), c, 0);
    const uint64_t wait = together * waiting * (square + 4 * n) / 2;
    need_item(p->need, "a pass over text", AT(NEED_MOMENT), pass, wait > square ? wait : square);
    if (null)
        need_item(p->need, "the spectrum of C", AT(NEED_FACTOR), spectrum, square + 4 * n);
    else
        need_item(p->need, "the factor of C", AT(NEED_FACTOR), factor, 0);
    need_item(p->need, null ? "the null space of C, at most" : "C and its factor",
              FROM(NEED_GRADIENT), all, 0);
}

static bool gradient(struct need_work *p)
{
    const uint64_t d = p->dim, square = 4 * d * d;
    uint64_t tokens = text_tokens(p) / 4;
    uint32_t count = 0;
    const struct model shape = {.config = *p->c};
    const uint64_t block = p->run->text ? p->h->block : 128;
    struct amount g = {0}, slope = {0}, rows = {0}, svd = {0}, before = {0}, all = {0};
    if (!stats_count(&shape, p->h, &count)) return false;
    if (p->run->text || p->h->grad_source) tokens = p->h->grad_tokens;
    if (p->run->text && tokens > text_tokens(p)) tokens = text_tokens(p);
    const struct rows r = rows_of_text(tokens, block);
    const uint64_t targets = r.rows - r.texts;
    amount_add(&g, 4 * d * p->ffn, 1);
    need_pass(&slope, p->c, p->c->layers, r, true);
    need_grads(&slope, p->run->weights, r, r.rows);
    amount_add(&slope, 4 * r.rows * p->ffn, 1);
    amount_add(&slope, 16, 1);
    need_head(&slope, p->c, targets);
    amount_add(&slope, 4 * targets, 4);
    const uint64_t waiting = joining(&slope, 4 * d * p->ffn, tokens, block);
    amount_add(&rows, square, 1);
    if (count < d)
        need_range(&svd, d, p->ffn, count);
    else
        need_svd(&svd, d, p->ffn, true, false);
    amount_add(&svd, 4 * d, 1);
    amount_both(&before, rows, p->sites - 1);
    amount_both(&all, rows, p->sites);
    need_item(p->need, "directions of the layers before", SPAN(NEED_MOMENT, NEED_DIRECTIONS),
              before, 0);
    need_item(p->need, "grad G", SPAN(NEED_GRADIENT, NEED_DIRECTIONS), g, 0);
    need_item(p->need, "a pass over text, there and back", AT(NEED_GRADIENT), slope,
              4 * d * p->ffn * waiting);
    need_item(p->need, count < d ? "directions of grad G by probes" : "the decomposition of grad G",
              AT(NEED_DIRECTIONS), svd, square);
    need_item(p->need, "directions of grad G", FROM(NEED_DIRECTIONS), all, 0);
    return true;
}

static void vectors(struct need_work *p)
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
    need_item(p->need, "vectors of an edit", FROM(NEED_CONTEXTS), sum, 0);
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
    struct need_work p = {.need = need, .run = run, .c = c, .h = h, .dim = c->dim, .ffn = c->ffn,
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
    answers(&p);
    need_edits(&p);
    sum_up(need);
    return true;
}

// A run is not to fail on its way because its plan was a little short.
static const double MIB_HUNDREDTH = (1 << 20) / 100.0;

static uint64_t with_margin(const struct need *need)
{
    return need->device + need->device / 8;
}

bool need_within(struct need *need, struct need_run *run, uint64_t limit)
{
    const uint32_t layers = run->weights->config.layers;
    bool ok = true;
    for (run->streamed = 0; (ok = need_of(need, run)) && with_margin(need) > limit;
         run->streamed++) {
        if (run->streamed < layers) continue;
        const double least = ceil((double)with_margin(need) / MIB_HUNDREDTH) / 100;
        return fail(STATUS_NO_MEMORY, "--vram: got %.2f MiB, wanted %.2f, which this run takes in "
                                      "its phase '%s' with all layers streamed",
                    (double)limit / (1 << 20), least, need_phase_names[need->peak]);
    }
    return ok;
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
