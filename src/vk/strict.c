#include "vk/strict.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

// The SPIR-V specification, 2.3 (layout of a module) and 3.49 (instructions); numbers of
// GLSL.std.450 from its own document.
enum {
    HEADER = 5,
    BOUND = 3, // word of the header: one more than the largest id

    OP_EXT_INST_IMPORT = 11,
    OP_EXT_INST = 12,
    OP_TYPE_FIRST = 19,
    OP_TYPE_LAST = 39,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_CONVERT_U_TO_F = 112,
    OP_F_NEGATE = 127,
    OP_F_ADD = 129,
    OP_F_SUB = 131,
    OP_F_MUL = 133,
    OP_F_DIV = 136,
    OP_F_REM = 140,
    OP_F_MOD = 141,
    OP_VECTOR_TIMES_SCALAR = 142,
    OP_MATRIX_FIRST = 143,
    OP_DOT = 148,
    OP_GROUP_F_ADD = 350,
    OP_GROUP_F_MUL = 352,

    NO_CONTRACTION = 42,
    FMA = 50
};

// Of GLSL.std.450: what IEEE 754 or integers leave no freedom to.
static bool exact_function(uint32_t number)
{
    static const uint8_t exact[] = {2,  3,  4,  5,  6,  7,  8,  9,  37, 38, 39, 40, 41,
                                    42, 43, 44, 45, 47, 73, 74, 75, 79, 80, 81};
    for (size_t i = 0; i < sizeof exact; i++)
        if (number == exact[i]) return true;
    return false;
}

static bool is_free(uint32_t op)
{
    return op == OP_F_DIV || op == OP_F_REM || op == OP_F_MOD || op == OP_CONVERT_U_TO_F ||
           (op >= OP_MATRIX_FIRST && op <= OP_DOT) || op == OP_GROUP_F_ADD || op == OP_GROUP_F_MUL;
}

static bool is_arithmetic(uint32_t op)
{
    return op == OP_F_NEGATE || op == OP_F_ADD || op == OP_F_SUB || op == OP_F_MUL ||
           op == OP_VECTOR_TIMES_SCALAR;
}

struct stamper {
    const struct shader *shader;
    const uint32_t *in;
    size_t words;
    uint32_t *out;
    size_t count;
    uint32_t functions; // id of GLSL.std.450
    uint32_t products;  // fused ones, each of which needs one id more
    size_t marks;       // decorations to be added
    bool *marked;       // [bound] those that have one
};

static void put(struct stamper *s, const uint32_t *words, size_t count)
{
    memcpy(s->out + s->count, words, count * sizeof *words);
    s->count += count;
}

static bool is_fused(const struct stamper *s, const uint32_t *i)
{
    return (i[0] & 0xffff) == OP_EXT_INST && i[3] == s->functions && i[4] == FMA;
}

// One walk ahead: what is there, and nothing that is free.
static bool survey(struct stamper *s)
{
    for (size_t at = HEADER; at < s->words; at += s->in[at] >> 16) {
        const uint32_t *i = s->in + at, op = *i & 0xffff;
        if (op == OP_EXT_INST_IMPORT && memcmp(i + 2, "GLSL.std.450", 13) == 0)
            s->functions = i[1];
        if (op == OP_DECORATE && i[2] == NO_CONTRACTION) s->marked[i[1]] = true;
        bool own = op == OP_EXT_INST && i[3] == s->functions && !is_fused(s, i) &&
                   !exact_function(i[4]);
        if (is_free(op) || own)
            return fail(STATUS_FAILED,
                        "shader %s: got %s %u, wanted what is the same on every device",
                        s->shader->name, own ? "GLSL.std.450's function" : "SPIR-V's instruction",
                        own ? i[4] : op);
        if (is_fused(s, i)) s->products++;
        s->marks += is_arithmetic(op) || is_fused(s, i);
    }
    return true;
}

static void mark(struct stamper *s, uint32_t id)
{
    if (!s->marked[id]) put(s, (uint32_t[]){3 << 16 | OP_DECORATE, id, NO_CONTRACTION}, 3);
}

// Decorations for all that follows stand before the first one, or before the types.
static void mark_all(struct stamper *s)
{
    uint32_t product = s->in[BOUND];
    for (size_t at = HEADER; at < s->words; at += s->in[at] >> 16) {
        const uint32_t *i = s->in + at, op = *i & 0xffff;
        if (is_arithmetic(op) || is_fused(s, i)) mark(s, i[2]);
        if (is_fused(s, i))
            put(s, (uint32_t[]){3 << 16 | OP_DECORATE, product++, NO_CONTRACTION}, 3);
    }
}

static void rewrite(struct stamper *s)
{
    uint32_t product = s->in[BOUND];
    bool marked = false;
    put(s, s->in, HEADER);
    for (size_t at = HEADER; at < s->words; at += s->in[at] >> 16) {
        const uint32_t *i = s->in + at, op = *i & 0xffff;
        bool type = op >= OP_TYPE_FIRST && op <= OP_TYPE_LAST;
        if (!marked && (type || op == OP_DECORATE || op == OP_MEMBER_DECORATE)) {
            mark_all(s);
            marked = true;
        }
        if (is_fused(s, i)) {
            put(s, (uint32_t[]){5 << 16 | OP_F_MUL, i[1], product, i[5], i[6]}, 5);
            put(s, (uint32_t[]){5 << 16 | OP_F_ADD, i[1], i[2], product++, i[7]}, 5);
        } else {
            put(s, i, *i >> 16);
        }
    }
    s->out[BOUND] = product;
}

bool strict_code(const struct shader *shader, uint32_t **code, size_t *bytes)
{
    struct stamper s = {.shader = shader, .in = shader->code, .words = shader->bytes / 4};
    s.marked = mem_new(s.in[BOUND], sizeof *s.marked, "a shader");
    bool ok = s.marked && survey(&s);
    if (ok) {
        // A fused product is 8 words and becomes 10, with one decoration more.
        size_t most = s.words + 3 * s.marks + 5 * (size_t)s.products;
        s.out = mem_new(most, sizeof *s.out, "a shader");
        ok = s.out != NULL;
    }
    if (ok) rewrite(&s);
    free(s.marked);
    *code = s.out;
    *bytes = s.count * sizeof *s.out;
    return ok;
}
