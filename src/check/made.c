#include "check/made.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"

static const char *const accesses[OP_COUNT] = {
#define OP(name, access, ...) #access,
#include "ops.def"
};

static const char *const arguments[OP_COUNT] = {
#define OP(name, access, args, ...) #args,
#include "ops.def"
};

static const uint32_t OUT_WORD = 0x7fc0dead; // a quiet NaN

static uint64_t ask(struct made *m, struct made_buffer b)
{
    assert(m->spec_count < CMD_POINTERS_MAX);
    if (b.words == 0) b.words = 1;
    m->specs[m->spec_count++] = b;
    return m->spec_count;
}

uint64_t made_floats(struct made *m, uint32_t n, double low, double high)
{
    return ask(m, (struct made_buffer){.content = MADE_FLOATS, .words = n, .low = low,
                                       .high = high});
}

uint64_t made_steps(struct made *m, uint32_t n, uint32_t first, uint32_t step, uint32_t below)
{
    return ask(m, (struct made_buffer){.content = MADE_STEPS, .words = n, .first = first,
                                       .step = step, .below = below});
}

uint64_t made_ids(struct made *m, uint32_t n, uint32_t below)
{
    return ask(m, (struct made_buffer){.content = MADE_IDS, .words = n, .below = below});
}

uint64_t made_given(struct made *m, uint32_t n, const double (*pairs)[2], uint32_t count)
{
    assert(count <= sizeof m->pairs / sizeof *m->pairs); // one such buffer a case
    memcpy(m->pairs, pairs, count * sizeof *pairs);
    return ask(m, (struct made_buffer){.content = MADE_GIVEN, .words = n, .given_count = count});
}

uint64_t made_lower(struct made *m, uint32_t rows, uint32_t cols)
{
    return ask(m, (struct made_buffer){.content = MADE_LOWER, .words = rows * cols, .cols = cols});
}

uint64_t made_definite(struct made *m, uint32_t count, uint32_t n)
{
    return ask(m, (struct made_buffer){.content = MADE_DEFINITE, .words = count * n * n,
                                       .cols = n});
}

uint64_t made_gram(struct made *m, uint32_t rows, uint32_t from)
{
    return ask(m, (struct made_buffer){.content = MADE_GRAM, .words = rows * rows, .cols = rows,
                                       .from = from});
}

uint64_t made_weight(struct made *m, uint32_t rows, uint32_t cols, uint32_t dtype)
{
    const struct dtype_info *info = &dtype_table[dtype];
    assert(rows * cols % info->block == 0);
    uint32_t bytes = rows * cols / info->block * info->bytes;
    return ask(m, (struct made_buffer){.content = MADE_WEIGHT, .words = CEIL(bytes, 4),
                                       .cols = rows * cols, .dtype = (enum dtype)dtype});
}

uint64_t made_words(struct made *m, uint32_t n, enum content content)
{
    return ask(m, (struct made_buffer){.content = content, .words = n});
}

uint64_t made_out_lower(struct made *m, uint32_t rows, uint32_t cols)
{
    return ask(m, (struct made_buffer){.content = MADE_OUT_LOWER, .words = rows * cols,
                                       .cols = cols});
}

// Multiples of 2^-23 in [-1, 1): exact in a float.
static double unit(uint64_t *state)
{
    return (double)((int32_t)(random_next(state) >> 40) - (1 << 23)) * 0x1p-23;
}

static float uniform(uint64_t *state, double low, double high)
{
    return (float)(low + (high - low) * (0.5 * unit(state) + 0.5));
}

float *made_vector(uint32_t count, double low, double high, uint64_t seed)
{
    float *x = mem_new(count, sizeof *x, "numbers");
    for (uint32_t i = 0; x && i < count; i++) x[i] = uniform(&seed, low, high);
    return x;
}

// Where a block has its halves, and the exponents that keep |w| < 1; 0: there is none.
static const struct {
    uint32_t scale_at, scale_exponent, least_at, least_exponent;
    uint16_t least_sign;
} blocks[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = {0, 7, 0, 0, 0},        // 128 d
    [DTYPE_Q4_0] = {0, 11, 0, 0, 0},       // 8 d
    [DTYPE_Q4_1] = {0, 10, 2, 14, 0x8000}, // 15 d + m, m < 0
    [DTYPE_Q5_0] = {0, 10, 0, 0, 0},       // 16 d
    [DTYPE_Q5_1] = {0, 9, 2, 14, 0x8000},  // 31 d + m
    [DTYPE_Q4_K] = {0, 4, 2, 8, 0},        // 63 * 15 d - 63 m
    [DTYPE_Q5_K] = {0, 3, 2, 8, 0},        // 63 * 31 d - 63 m
    [DTYPE_Q6_K] = {208, 2, 0, 0, 0},      // 128 * 32 d
};

// A half in [2^(exponent - 15), 2 * that).
static uint16_t half(uint32_t exponent, uint32_t shift, uint64_t *state)
{
    uint32_t top = exponent > shift ? exponent - shift : 1;
    return (uint16_t)(top << 10 | (uint32_t)(random_next(state) & 0x3ff));
}

static void block_tame(uint8_t *block, enum dtype dtype, uint32_t shift, uint64_t *state)
{
    uint16_t d = half(blocks[dtype].scale_exponent, shift, state);
    memcpy(block + blocks[dtype].scale_at, &d, sizeof d);
    if (!blocks[dtype].least_exponent) return;
    uint16_t m = half(blocks[dtype].least_exponent, shift, state) | blocks[dtype].least_sign;
    memcpy(block + blocks[dtype].least_at, &m, sizeof m);
}

static void weight_fill(uint8_t *data, uint64_t elements, enum dtype dtype, uint32_t shift,
                        uint64_t state)
{
    const struct dtype_info *info = &dtype_table[dtype];
    for (uint64_t i = 0; i < elements / info->block; i++) {
        uint8_t *block = data + i * info->bytes;
        uint64_t bits = random_next(&state);
        if (dtype == DTYPE_F32) {
            float x = uniform(&bits, -1, 1) / (float)(1u << shift);
            memcpy(block, &x, sizeof x);
        } else if (dtype == DTYPE_F16 || dtype == DTYPE_BF16) {
            // Four binades under 1, and their signs.
            uint32_t fraction = dtype == DTYPE_F16 ? 10 : 7, one = dtype == DTYPE_F16 ? 15 : 127;
            uint32_t exponent = one - 1 - shift - (uint32_t)(bits >> 20 & 3);
            uint16_t x = (uint16_t)((bits & 0x8000) | exponent << fraction |
                                    (bits >> 32 & ((1u << fraction) - 1)));
            memcpy(block, &x, sizeof x);
        } else {
            for (uint32_t j = 0; j < info->bytes; j++) block[j] = (uint8_t)random_next(&bits);
            block_tame(block, dtype, shift, &bits);
        }
    }
}

uint8_t *made_weight_bytes(uint64_t elements, enum dtype dtype, uint32_t shift, uint64_t seed,
                           uint64_t *bytes)
{
    *bytes = elements / dtype_table[dtype].block * dtype_table[dtype].bytes;
    uint8_t *data = mem_new(*bytes, 1, "weights");
    if (data) weight_fill(data, elements, dtype, shift, seed);
    return data;
}

static void put(struct made_buffer *b, uint64_t at, double value)
{
    float x = (float)value;
    memcpy(b->data + at, &x, sizeof x);
}

// Diagonals 1 + k / n in no order, rows that sum to under 1/2 beside them.
static void definite_fill(struct made_buffer *b, uint64_t *state)
{
    uint32_t n = b->cols, size = n * n;
    for (uint32_t m = 0; m < b->words / size; m++)
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j <= i; j++) {
                double x = i == j ? 1 + (double)(i * 7 % n) / n : 0.5 * unit(state) / n;
                put(b, m * size + i * n + j, x);
                put(b, m * size + j * n + i, x);
            }
}

static void gram_fill(struct made_buffer *b, const struct made_buffer *from)
{
    uint32_t rows = b->cols, cols = from->words / rows;
    const float *x = (const float *)(const void *)from->data;
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < rows; j++) {
            double sum = 0;
            for (uint32_t k = 0; k < cols; k++)
                sum += (double)x[i * cols + k] * (double)x[j * cols + k];
            put(b, i * rows + j, sum);
        }
}

static void words_fill(struct made_buffer *b, uint64_t *state)
{
    for (uint32_t i = 0; i < b->words; i++) {
        uint64_t bits = random_next(state);
        switch (b->content) {
        case MADE_STEPS: b->data[i] = (b->first + b->step * i) % b->below; break;
        case MADE_IDS: b->data[i] = (uint32_t)(bits % b->below); break;
        case MADE_BITS: b->data[i] = (uint32_t)bits; break;
        case MADE_FAINT: // exponents 31 to 95, also of the lower half
            b->data[i] = (uint32_t)(bits & 0x807f807f) |
                         (uint32_t)(31 + (bits >> 32) % 65) << 23 |
                         (uint32_t)(31 + (bits >> 48) % 65) << 7;
            break;
        default: b->data[i] = OUT_WORD;
        }
    }
}

static void fill(struct made *m, struct made_buffer *b, uint64_t state)
{
    switch (b->content) {
    case MADE_FLOATS:
        for (uint32_t i = 0; i < b->words; i++)
            put(b, i, (double)uniform(&state, b->low, b->high));
        break;
    case MADE_GIVEN:
        for (uint32_t i = 0; i < b->given_count; i++)
            put(b, (uint32_t)m->pairs[i][0], m->pairs[i][1]);
        break;
    case MADE_LOWER:
        for (uint32_t i = 0; i < b->words; i++)
            put(b, i, i % b->cols <= i / b->cols ? unit(&state) : 0);
        break;
    case MADE_DEFINITE: definite_fill(b, &state); break;
    case MADE_GRAM: gram_fill(b, &m->buffers[b->from]); break;
    case MADE_WEIGHT: weight_fill((uint8_t *)b->data, b->cols, b->dtype, b->shift, state); break;
    default: words_fill(b, &state);
    }
}

// FNV-1a: an operator's numbers stay when others come or go.
static uint64_t seed_of(const char *text, uint32_t pointer)
{
    uint64_t seed = 0xcbf29ce484222325u ^ pointer;
    for (; *text; text++) seed = (seed ^ (unsigned char)*text) * 0x100000001b3u;
    return seed;
}

bool made_fill(struct made *m, const char *seed_text)
{
    const char *access = accesses[m->op], *type = arguments[m->op];
    for (uint32_t i = 0; access[i]; i++, m->count++) {
        uint64_t number;
        memcpy(&number, m->args + 8 * i, sizeof number);
        assert(number >= 1 && number <= m->spec_count && "a pointer of a case was not made");
        struct made_buffer *b = &m->buffers[i];
        *b = m->specs[number - 1];
        b->access = access[i];
        b->floats = strncmp(type, "fbuf", 4) == 0;
        type = strchr(type, ';') + 1;
        type += *type == ' ';
        b->data = mem_new(b->words, sizeof *b->data, "a case");
        if (!b->data) return false;
    }
    for (int turn = 0; turn < 2; turn++) // what is made from others comes last
        for (uint32_t i = 0; i < m->count; i++)
            if ((m->buffers[i].content == MADE_GRAM) == turn)
                fill(m, &m->buffers[i], seed_of(seed_text, i));
    return true;
}

void made_free(struct made *m)
{
    for (uint32_t i = 0; i < CMD_POINTERS_MAX; i++) free(m->buffers[i].data);
    *m = (struct made){0};
}
