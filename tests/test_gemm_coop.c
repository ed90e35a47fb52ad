// The matrix product on matrix units. Few devices have them, so the same shader is also compiled
// with EMULATE (shaders/coop.glsl): scaling, splitting, staging and edges are then the real ones on
// any device, only the products of 16 x 16 are loops. The bound is derived in gemm_coop.comp.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/gemm_coop.h"
#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_quant.h"
#include "ref_rig.h"
#include "emulated.inc" // emulated[2][DTYPE_COUNT]: tiles of 64 rows and of 16

enum { STEP = 32, EMULATED_THREADS = 64 };

struct product { // y = alpha * x w^T + beta * r, w of any dtype
    enum dtype dtype;
    uint32_t rows, outs, inner;
    uint32_t x_pad, w_pad, y_pad; // floats between rows; w_pad of F32 only
    float alpha, beta;
    float *x, *r;
    uint8_t *packed; // w
    uint64_t packed_bytes;
    double *w; // the same unpacked, [outs, inner + w_pad]
};

static uint32_t ldx(const struct product *p)
{
    return p->inner + p->x_pad;
}

static uint32_t ldw(const struct product *p)
{
    return p->inner + p->w_pad;
}

static uint32_t ldy(const struct product *p)
{
    return p->outs + p->y_pad;
}

static void product_fill(struct rig *rig, struct product *p)
{
    uint64_t n = (uint64_t)p->outs * ldw(p);
    p->x = rig_random(rig, (uint64_t)p->rows * ldx(p), 1);
    p->r = rig_random(rig, (uint64_t)p->rows * ldy(p), 1);
    p->packed = ref_random_blocks(p->dtype, n, &rig->random, &p->packed_bytes);
    p->w = ref_zeros(n);
    ref_unpack(p->dtype, p->packed, n, p->w);
}

static void product_free(struct product *p)
{
    free(p->x);
    free(p->r);
    free(p->packed);
    free(p->w);
}

// Largest finite |v| of rows [row, row + count) and columns [k, k + STEP), at least 2^-49.
static double peak(const double *v, uint32_t row, uint32_t count, uint32_t rows, uint32_t k,
                   uint32_t cols, uint32_t stride)
{
    double largest = 0x1p-49;
    for (uint32_t i = row; i < row + count && i < rows; i++)
        for (uint32_t j = k; j < k + STEP && j < cols; j++)
            if (isfinite(v[(uint64_t)i * stride + j]))
                largest = fmax(largest, fabs(v[(uint64_t)i * stride + j]));
    return largest;
}

// The result and its bound in units of 2^-24, for a tile of tile x across.
static void expect(const struct product *p, const double *x, uint32_t tile, double *want,
                   double *bound)
{
    const bool exact = p->dtype == DTYPE_F16 || p->dtype == DTYPE_BF16;
    const uint32_t across = tile == 64 ? 64 : 128;
    for (uint32_t i = 0; i < p->rows; i++)
        for (uint32_t j = 0; j < p->outs; j++) {
            double sum = 0, size = 0, lost = 0, peak_x = 0, peak_w = 0;
            for (uint32_t k = 0; k < p->inner; k++) {
                if (k % STEP == 0) {
                    peak_x = peak(x, i / tile * tile, tile, p->rows, k, p->inner, ldx(p));
                    peak_w = peak(p->w, j / across * across, across, p->outs, k, p->inner, ldw(p));
                }
                double a = x[i * ldx(p) + k], b = p->w[j * ldw(p) + k];
                sum += a * b;
                size += fabs(a * b);
                lost += 0x1p-38 * fabs(b) * peak_x + 0x1p-56 * peak_x * peak_w;
                lost += (exact ? 0x1p-28 : 0x1p-38) * fabs(a) * peak_w;
                // Unpacking scale * q - minimum rounds twice, relative to the largest of a block.
                if (p->dtype > DTYPE_BF16) lost += 2 * RIG_EPS * fabs(a) * peak_w;
            }
            uint64_t at = (uint64_t)i * ldy(p) + j;
            double terms = 8 + 2 * STEP + 2 + (double)CEIL(p->inner, STEP), beta = (double)p->beta;
            want[at] = (double)p->alpha * sum + beta * (double)p->r[at];
            bound[at] = fabs((double)p->alpha) * (terms * size + lost / RIG_EPS) +
                        3 * fabs(beta * (double)p->r[at]) + 2 * fabs(want[at]);
        }
}

// Which: 0 and 1 the emulated tiles, 2 the device's own matrix units.
static fbuf product_record(struct rig *rig, const struct product *p, int which)
{
    fbuf x = rig_in(rig, p->x, (uint64_t)p->rows * ldx(p));
    fbuf r = rig_in(rig, p->r, (uint64_t)p->rows * ldy(p));
    fbuf w = rig_in(rig, p->packed, p->packed_bytes / 4);
    fbuf y = rig_change(rig, p->r, (uint64_t)p->rows * ldy(p)); // between its rows nothing changes
    struct matrix from = {x, p->rows, p->inner, ldx(p)}, to = {y, p->rows, p->outs, ldy(p)};
    struct weight weight = {w, p->dtype, p->outs, p->inner};
    if (which == 2) {
        assert_true(gemm_coop_fits(rig->dev, from, weight, ldw(p)));
        gemm_coop(&rig->cmd, from, weight, ldw(p), r, to, p->alpha, p->beta);
        return y;
    }
    uint32_t tile = which == 0 ? 64 : 16, across = which == 0 ? 64 : 128;
    struct gemm_coop_args args = {.x = x, .w = w, .r = r, .y = y, .rows = p->rows, .outs = p->outs,
                                  .inner = p->inner, .ldx = ldx(p), .ldw = ldw(p), .ldy = ldy(p),
                                  .alpha = p->alpha, .beta = p->beta};
    cmd_dispatch(&rig->cmd, &(struct dispatch){.shader = &emulated[which][p->dtype],
                                               .name = "emulated",
                                               .access = "rrrw",
                                               .push = &args,
                                               .push_bytes = sizeof args,
                                               .local = EMULATED_THREADS,
                                               .groups = {CEIL(p->outs, across),
                                                          CEIL(p->rows, tile), 1},
                                               .flops = 2.0 * p->rows * p->outs * p->inner});
    return y;
}

static bool has_units(struct rig *rig)
{
    return rig->dev->info.matrix_units && op_built(OP_gemm_coop);
}

// On both emulated tiles, or on the one of number `only`, and on matrix units where there are any.
static void product_check(struct rig *rig, const struct product *p, const char *what, int only)
{
    uint64_t n = (uint64_t)p->rows * ldy(p);
    double *x = ref_wide(p->x, (uint64_t)p->rows * ldx(p));
    for (int which = 0; which < (has_units(rig) ? 3 : 2); which++) {
        if (only >= 0 && which == 1 - only) continue;
        uint32_t tile = which == 0 ? 64 : which == 1 ? 16 : gemm_coop_tile(p->rows);
        double *want = ref_wide(p->r, n), *bound = ref_zeros(n);
        expect(p, x, tile, want, bound);
        fbuf y = product_record(rig, p, which);
        rig_run(rig);
        rig_near(rig, what, y, want, bound, n, 1);
        free(want);
        free(bound);
        rig_drop(rig);
    }
    free(x);
}

static const struct product shapes[] = {
    {.rows = 1, .outs = 1, .inner = 4},
    {.rows = 16, .outs = 128, .inner = 32, .alpha = -0.5f},
    {.rows = 17, .outs = 129, .inner = 36, .x_pad = 4, .w_pad = 8, .y_pad = 3, .beta = 0.25f},
    {.rows = 64, .outs = 64, .inner = 64, .beta = 1},
    {.rows = 65, .outs = 65, .inner = 576},
    {.rows = 130, .outs = 31, .inner = 100, .alpha = 2, .beta = -1},
    {.rows = 5, .outs = 300, .inner = 1536},
};

static void test_gemm_coop(void **state)
{
    struct rig *rig = *state;
    if (!has_units(rig))
        printf("matrix units: skipped: %s; the emulation runs\n",
               op_built(OP_gemm_coop) ? "the device has none" : "no compiler knew them");
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct product p = shapes[i];
        if (p.alpha == 0) p.alpha = 1;
        product_fill(rig, &p);
        product_check(rig, &p, "gemm_coop", -1);
        product_free(&p);
    }
}

static void test_weights(void **state)
{
    struct rig *rig = *state;
    const bool brief = getenv("OEDIT_SHORT") != NULL; // one exact, one of each size of block
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (brief && d != DTYPE_F16 && d != DTYPE_Q4_1 && d != DTYPE_Q6_K) continue;
        uint32_t block = dtype_table[d].block < 4 ? 36 : dtype_table[d].block;
        for (uint32_t outs = 5; outs < 200; outs += 130) {
            struct product p = {.dtype = (enum dtype)d, .rows = 19, .outs = outs,
                                .inner = 3 * block, .alpha = 1, .beta = 1};
            product_fill(rig, &p);
            product_check(rig, &p, dtype_table[d].name, d & 1); // to compile a shader takes seconds
            product_free(&p);
        }
    }
}

// Values of every size beside each other: rows and columns of x and w from 2^-30 to 2^30, a sink of
// 20,000, and matrices as a whole of the large and the small (P_x P_w under 2^155).
static void test_ranges(void **state)
{
    struct rig *rig = *state;
    const double wholes[][2] = {{1, 1}, {0x1p35, 0x1p35}, {0x1p-45, 0x1p-45}, {0x1p-60, 0x1p90}};
    for (int spread = 0; spread < 4; spread++)
        for (size_t s = 0; s < COUNT(wholes); s++) {
            struct product p = {.rows = 70, .outs = 66, .inner = 160, .alpha = 1};
            product_fill(rig, &p);
            float *w = (float *)(void *)p.packed;
            for (uint32_t i = 0; i < p.rows * p.inner; i++) {
                int row = (int)(i / p.inner), col = (int)(i % p.inner);
                int e = spread == 1 ? row % 61 - 30 : spread == 2 ? col % 61 - 30 : 0;
                p.x[i] = (float)(ldexp((double)p.x[i], e) * wholes[s][0]);
                if (spread == 3 && row == 0) p.x[i] *= 20000;
            }
            for (uint32_t i = 0; i < p.outs * p.inner; i++) {
                int row = (int)(i / p.inner), col = (int)(i % p.inner);
                int e = spread == 1 ? row % 31 - 15 : spread == 2 ? 30 - col % 61 : 0;
                w[i] = (float)(ldexp((double)w[i], e) * wholes[s][1]);
                p.w[i] = (double)w[i];
            }
            product_check(rig, &p, "ranges", -1);
            product_free(&p);
        }
}

// What is no number stays in its row, and the other rows keep their accuracy.
static void test_nonfinite(void **state)
{
    struct rig *rig = *state;
    for (int bad = 0; bad < 3; bad++)
        for (int which = 0; which < (has_units(rig) ? 3 : 2); which++) {
            struct product p = {.rows = 20, .outs = 40, .inner = 64, .alpha = 1};
            product_fill(rig, &p);
            double *x = ref_wide(p.x, (uint64_t)p.rows * p.inner);
            double *want = ref_zeros(p.rows * p.outs), *bound = ref_zeros(p.rows * p.outs);
            expect(&p, x, which == 1 ? 16 : 64, want, bound);
            p.x[3 * p.inner + 40] = bad == 0 ? NAN : bad == 1 ? INFINITY : -INFINITY;
            fbuf y = product_record(rig, &p, which);
            rig_run(rig);
            float *got = rig_memory((uint64_t)p.rows * p.outs, sizeof *got);
            for (uint32_t i = 0; i < p.rows * p.outs; i++) {
                got[i] = rig_floats(rig, y)[i];
                if (i / p.outs != 3) continue;
                if (isfinite(got[i])) fail_msg("element %u is %g", i, (double)got[i]);
                got[i] = (float)want[i];
                bound[i] = 2 * fabs(want[i]);
            }
            rig_near_host(rig, "nonfinite", got, want, bound, (uint64_t)p.rows * p.outs, 1);
            void *mine[] = {x, want, bound, got};
            for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
            product_free(&p);
            rig_drop(rig);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_GEMM_COOP(CASE)
#undef CASE
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_nonfinite),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
