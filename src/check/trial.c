#define XXH_INLINE_ALL
#include "check/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "check/twin.h"
#include "vk/buffer.h"

enum { BAND = 64 }; // words before and behind every buffer
static const uint32_t BAND_WORD = 0x7fc0beef;

void outputs_free(struct outputs *o)
{
    for (int i = 0; i < CMD_POINTERS_MAX; i++) {
        free(o->words[i]);
        free(o->exact[i]);
    }
    *o = (struct outputs){0};
}

static bool is_output(const struct made_buffer *b)
{
    return b->access != 'r';
}

static bool counts(const struct made_buffer *b, uint32_t at)
{
    return b->content != MADE_OUT_LOWER || at % b->cols <= at / b->cols;
}

// ---- on a device ----
struct placed { // a case's buffers on the device, each between two bands
    struct buffer *buffers[CMD_POINTERS_MAX];
    uint32_t *words[CMD_POINTERS_MAX]; // with bands
};

static void placed_free(struct device *dev, struct placed *p)
{
    for (int i = 0; i < CMD_POINTERS_MAX; i++) {
        buffer_free(dev, &p->buffers[i]);
        free(p->words[i]);
    }
}

static bool placed_new(const struct made *m, struct placed *p, unsigned char *args)
{
    bool ok = true;
    memcpy(args, m->args, CMD_PUSH_MAX);
    for (uint32_t i = 0; ok && i < m->count; i++) {
        const struct made_buffer *b = &m->buffers[i];
        uint32_t total = b->words + 2 * BAND;
        p->words[i] = mem_new(total, sizeof *p->words[i], "a case");
        if (!p->words[i]) return false;
        for (uint32_t j = 0; j < total; j++) p->words[i][j] = BAND_WORD;
        memcpy(p->words[i] + BAND, b->data, b->words * sizeof *b->data);
        ok = buffer_from(m->dev, p->words[i], 4ull * total, "a case", &p->buffers[i]);
        uint64_t address = ok ? p->buffers[i]->address + 4 * BAND : 0;
        memcpy(args + 8 * i, &address, sizeof address);
    }
    return ok;
}

// Reads a buffer back; whatever is no output must be as it was.
static bool fetch(const struct made *m, struct placed *p, uint32_t i, char outside[TRIAL_TEXT])
{
    const struct made_buffer *b = &m->buffers[i];
    if (!buffer_read(m->dev, p->buffers[i], 0, p->words[i], 4ull * (b->words + 2 * BAND)))
        return false;
    for (uint32_t j = 0; j < b->words + 2 * BAND && !outside[0]; j++) {
        bool inside = j >= BAND && j < BAND + b->words;
        if (inside && is_output(b)) continue;
        uint32_t was = inside ? b->data[j - BAND] : BAND_WORD;
        if (p->words[i][j] != was)
            snprintf(outside, TRIAL_TEXT, "argument %u: word %lld of %u is changed, it %s", i,
                     (long long)j - BAND, b->words, inside ? "is an input" : "lies outside");
    }
    return true;
}

bool trial_device(uint32_t number, const struct made *m, struct outputs *o,
                  char outside[TRIAL_TEXT])
{
    struct placed placed = {0};
    _Alignas(8) unsigned char args[CMD_PUSH_MAX];
    outside[0] = '\0';
    bool ok = placed_new(m, &placed, args);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, m->dev, false);
        case_record(number, &cmd, args);
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    for (uint32_t i = 0; ok && i < m->count; i++) {
        ok = fetch(m, &placed, i, outside);
        if (!ok || !is_output(&m->buffers[i])) continue;
        memmove(placed.words[i], placed.words[i] + BAND, 4ull * m->buffers[i].words);
        o->words[i] = placed.words[i];
        placed.words[i] = NULL;
    }
    placed_free(m->dev, &placed);
    return ok;
}

// ---- in C ----
// gemm_coop computes what gemm_nt does.
static void coop_double(const void *args)
{
    struct gemm_coop_args a;
    memcpy(&a, args, sizeof a);
    twin_double[OP_gemm_nt](&(struct gemm_nt_args){
        .x = a.x, .w = a.w, .r = a.r, .y = a.y, .rows = a.rows, .outs = a.outs, .inner = a.inner,
        .ldx = a.ldx, .ldw = a.ldw, .ldy = a.ldy, .alpha = a.alpha, .beta = a.beta,
        .variant = a.variant});
}

static double wide(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static bool run(twin_op op, const struct made *m, struct outputs *o, bool in_double)
{
    _Alignas(8) unsigned char args[CMD_PUSH_MAX];
    void *copies[CMD_POINTERS_MAX] = {0};
    bool ok = true;
    memcpy(args, m->args, sizeof args);
    for (uint32_t i = 0; ok && i < m->count; i++) {
        const struct made_buffer *b = &m->buffers[i];
        bool doubles = in_double && b->floats;
        copies[i] = mem_new(b->words, doubles ? sizeof(double) : sizeof(uint32_t), "a case");
        ok = copies[i] != NULL;
        for (uint32_t j = 0; ok && doubles && j < b->words; j++)
            ((double *)copies[i])[j] = wide(b->data[j]);
        if (ok && !doubles) memcpy(copies[i], b->data, 4ull * b->words);
        uint64_t address = (uint64_t)(uintptr_t)copies[i];
        memcpy(args + 8 * i, &address, sizeof address);
    }
    if (ok) op(args);
    for (uint32_t i = 0; i < m->count; i++) {
        if (!is_output(&m->buffers[i]))
            free(copies[i]);
        else if (in_double && m->buffers[i].floats)
            o->exact[i] = copies[i];
        else
            o->words[i] = copies[i];
    }
    return ok;
}

bool trial_float(const struct made *m, struct outputs *o, bool *known)
{
    twin_op op = twin_float[m->op];
    *known = op != NULL;
    return !op || run(op, m, o, false);
}

bool trial_double(const struct made *m, struct outputs *o, bool *known)
{
    twin_op op = twin_double[m->op];
    if (m->op == OP_gemm_coop && twin_double[OP_gemm_nt]) op = coop_double;
    *known = op != NULL;
    return !op || run(op, m, o, true);
}

// ---- what they are worth ----
uint64_t trial_digest(const struct made *m, const struct outputs *o)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state) return 0;
    XXH3_64bits_reset(state);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct made_buffer *b = &m->buffers[i];
        for (uint32_t j = 0; is_output(b) && j < b->words; j++)
            if (counts(b, j)) XXH3_64bits_update(state, &o->words[i][j], sizeof(uint32_t));
    }
    uint64_t digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return digest;
}

static double ulp_of(double exact)
{
    int exponent;
    frexp(exact, &exponent); // 2^(exponent - 1) <= |exact|
    return ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

// A number that was left alone by both is no number of the case's.
static bool untouched(const struct made_buffer *b, uint32_t at, uint32_t got, double exact)
{
    return isnan(exact) && (b->content == MADE_OUT || b->content == MADE_OUT_LOWER) &&
           got == b->data[at];
}

static void wrong(struct trial_error *e, uint32_t pointer, uint32_t at, double got, double exact)
{
    e->part = fmax(e->part, 2);
    if (e->where[0]) return;
    snprintf(e->where, sizeof e->where, "argument %u, element %u is %.9g, wanted %.9g", pointer,
             at, got, exact);
}

static void floats_compare(const struct made_buffer *b, uint32_t i, const uint32_t *got,
                           const double *exact, double depth, double size, struct trial_error *e)
{
    double largest = 0, worst = 0;
    for (uint32_t j = 0; j < b->words; j++) {
        double x = wide(got[j]), error = fabs(x - exact[j]);
        if (!counts(b, j) || untouched(b, j, got[j], exact[j])) continue;
        double bound = depth * 0x1p-24 * (size + fabs(exact[j])) + 0x1p-62;
        if (depth == 0 && size == 0) bound = 0;
        if (!(error <= bound)) wrong(e, i, j, x, exact[j]);
        if (isnan(error)) continue;
        if (bound > 0) e->part = fmax(e->part, error / bound);
        largest = fmax(largest, fabs(exact[j]));
        worst = fmax(worst, error);
        // Where 0 is exact, and where the smallest numbers are flushed, there are no places.
        if (error > 0 && fabs(exact[j]) > 0x1p-62) e->ulp = fmax(e->ulp, error / ulp_of(exact[j]));
    }
    if (largest > 0) e->relative = fmax(e->relative, worst / largest);
}

void trial_compare(uint32_t number, const struct made *m, const struct outputs *got,
                   const struct outputs *exact, struct trial_error *e)
{
    double depth, size;
    case_bound(number, &depth, &size);
    *e = (struct trial_error){0};
    for (uint32_t i = 0; i < m->count; i++) {
        const struct made_buffer *b = &m->buffers[i];
        if (!is_output(b)) continue;
        if (b->floats) floats_compare(b, i, got->words[i], exact->exact[i], depth, size, e);
        for (uint32_t j = 0; !b->floats && j < b->words; j++)
            if (got->words[i][j] != exact->words[i][j])
                wrong(e, i, j, got->words[i][j], exact->words[i][j]);
    }
}
