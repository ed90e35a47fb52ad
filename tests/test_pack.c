// pack() in every dtype against the formats unpacked in double precision (ref_quant.c).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "io/pack.h"
#include "ref_must.h"
#include "ref_quant.h"

enum { COUNT = 4096, KINDS = 6 };

// What models have, and what they seldom have: one sign, one value, outliers, zeros, tiny values.
static void fill(float *x, int kind, uint64_t *random)
{
    for (int i = 0; i < COUNT; i++) {
        double r = 2 * random_unit(random) - 1;
        if (kind == 1) r = 3 + r;
        if (kind == 2) r = -0.7;
        if (kind == 3) r *= random_unit(random) < 0.01 ? 40 : 0.02;
        if (kind == 4) r = i / 256 % 2 ? 0 : r;
        if (kind == 5) r *= 1e-3 * random_unit(random);
        x[i] = (float)r;
    }
}

// How far a value may be from what is stored: half a step of its block's grid, and the rounding of
// the scales (halves, 6 bits or 8 bits) times how often they are taken.
static double bound(enum dtype dtype, const float *block, uint32_t n)
{
    double low = 0, high = 0, size;
    for (uint32_t i = 0; i < n; i++) {
        low = fmin(low, (double)block[i]);
        high = fmax(high, (double)block[i]);
    }
    size = fmax(high, -low);
    switch (dtype) {
    case DTYPE_F32: return 0;
    case DTYPE_F16: return size * 0x1p-11 + 0x1p-25;
    case DTYPE_BF16: return size * 0x1p-8;
    case DTYPE_Q8_0: return size / 127 * 0.5 + size * 0x1p-11 + 127 * 0x1p-25;
    case DTYPE_Q4_0: return size / 8 + size * 0x1p-11 + 8 * 0x1p-25; // the other end is cut off
    case DTYPE_Q5_0: return size / 16 + size * 0x1p-11 + 16 * 0x1p-25;
    case DTYPE_Q4_1: return (high - low) / 15 * 0.5 + size * 0x1p-10 + 15 * 0x1p-25;
    case DTYPE_Q5_1: return (high - low) / 31 * 0.5 + size * 0x1p-10 + 31 * 0x1p-25;
    // Scales in steps of a 63rd of the largest, at worst half a step times the most quants.
    case DTYPE_Q4_K: return (high - low) / 15 * 0.5 + (high - low) / 63 + size * 0x1p-9 + 0x1p-17;
    case DTYPE_Q5_K: return (high - low) / 31 * 0.5 + (high - low) / 63 + size * 0x1p-9 + 0x1p-17;
    case DTYPE_Q6_K: return size / 32 + size / 127 * 0.5 + size * 0x1p-10 + 0x1p-15;
    case DTYPE_COUNT: break;
    }
    return 0;
}

static void test_error(void **state)
{
    (void)state;
    float x[COUNT];
    double y[COUNT];
    uint8_t packed[COUNT * 4];
    uint64_t random = 7;
    for (enum dtype dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        const uint32_t n = dtype_table[dtype].block;
        double worst = 0;
        for (int kind = 0; kind < KINDS; kind++) {
            fill(x, kind, &random);
            assert_int_equal(pack_holds(dtype, x, COUNT), COUNT);
            pack(dtype, x, COUNT, packed);
            ref_unpack(dtype, packed, COUNT, y);
            for (int i = 0; i < COUNT; i++) {
                double most = bound(dtype, x + (uint32_t)i / n * n, n);
                double error = fabs(y[i] - (double)x[i]);
                if (error > most)
                    fail_msg("%s, kind %d: element %d is %g, stored as %g, may be %g off",
                             dtype_table[dtype].name, kind, i, (double)x[i], y[i], most);
                if (most > 0) worst = fmax(worst, error / most);
            }
        }
        printf("%-5s largest error %.1f%% of its bound\n", dtype_table[dtype].name, 100 * worst);
    }
}

// What once came from a type goes into it again without a change, where the scales say all.
static void test_again(void **state)
{
    (void)state;
    float x[COUNT];
    double y[COUNT], z[COUNT];
    uint8_t packed[COUNT * 4];
    uint64_t random = 11;
    for (enum dtype dtype = 0; dtype <= DTYPE_Q5_1; dtype++)
        for (int kind = 0; kind < KINDS; kind++) {
            fill(x, kind, &random);
            pack(dtype, x, COUNT, packed);
            ref_unpack(dtype, packed, COUNT, y);
            for (int i = 0; i < COUNT; i++) x[i] = (float)y[i];
            pack(dtype, x, COUNT, packed);
            ref_unpack(dtype, packed, COUNT, z);
            for (int i = 0; i < COUNT; i++) {
                double most = dtype <= DTYPE_BF16 ? 0 : fabs(y[i]) * 0x1p-9 + 127 * 0x1p-24;
                if (fabs(z[i] - y[i]) > most)
                    fail_msg("%s, kind %d: element %d was %g, is %g", dtype_table[dtype].name, kind,
                             i, y[i], z[i]);
            }
        }
}

static void test_too_large(void **state)
{
    (void)state;
    float x[256] = {0};
    for (enum dtype dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        const float bad[] = {NAN, INFINITY, -INFINITY, dtype ? 3.4e38f : INFINITY};
        for (int i = 0; i < 4; i++) {
            x[200] = bad[i];
            assert_int_equal(pack_holds(dtype, x, 256), 200);
        }
        x[200] = 65504;
        assert_int_equal(pack_holds(dtype, x, 256), 256);
        x[200] = 65520;
        assert_int_equal(pack_holds(dtype, x, 256),
                         dtype == DTYPE_F32 || dtype == DTYPE_BF16 ? 256 : 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
