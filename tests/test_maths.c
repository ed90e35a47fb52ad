// base/maths.h against long double, and its bits against those of the machine it was written on.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/maths.h"
#include "base/random.h"

enum { POINTS = 200000 };
static const uint64_t DIGEST = 0x7fc5d5e30d63b41a;

static double between(uint64_t *random, double low, double high)
{
    return low + random_unit(random) * (high - low);
}

// |got - wanted| in units of wanted's last place.
static double ulps(double got, long double wanted)
{
    int power;
    frexpl(wanted, &power);
    return fabs((double)ldexpl((long double)got - wanted, 53 - power));
}

static void errors(void **state)
{
    (void)state;
    uint64_t random = 1;
    double worst[4] = {0}, absolute = 0;
    for (int i = 0; i < POINTS; i++) {
        double x = between(&random, -700, 700), y = exp(between(&random, -700, 700)), s, c;
        double angle = between(&random, -1, 1) * exp(between(&random, -5, 13.8));
        worst[0] = fmax(worst[0], ulps(maths_exp(x), expl(x)));
        worst[1] = fmax(worst[1], ulps(maths_log(y), logl(y)));
        maths_circle(angle, &s, &c);
        worst[2] = fmax(worst[2], ulps(s, sinl(angle)));
        worst[3] = fmax(worst[3], ulps(c, cosl(angle)));
        absolute = fmax(absolute, fabs(s * s + c * c - 1));
    }
    printf("units in the last place: exp %.2f, log %.2f, sine %.2f, cosine %.2f\n", worst[0],
           worst[1], worst[2], worst[3]);
    for (int i = 0; i < 4; i++) assert_true(worst[i] < 4);
    assert_true(absolute < 1e-15);
    // A rotary model's slowest and fastest angles.
    for (int i = 0; i <= 64; i++) {
        long double wanted = powl(500000, -2.0L * i / 128);
        assert_true(fabsl(maths_power(500000, -2.0 * i / 128) / wanted - 1) < 1e-14L);
    }
}

static void edges(void **state)
{
    (void)state;
    double s, c;
    maths_circle(0, &s, &c);
    assert_true(s == 0 && c == 1);
    assert_true(maths_exp(0) == 1 && maths_log(1) == 0 && maths_power(7, 0) == 1);
    assert_true(maths_log(0) == -INFINITY && maths_log(INFINITY) == INFINITY);
    assert_true(isnan(maths_log(-1)) && isnan(maths_log(NAN)));
    assert_true(isnan(maths_exp(NAN)) && maths_exp(INFINITY) == HUGE_VAL);
    assert_true(maths_exp(-800) == 0 && isinf(maths_exp(800)) && maths_exp(-INFINITY) == 0);
    assert_true(maths_exp(-740) > 0 && isfinite(maths_exp(709.7)));
    assert_true(fabs(maths_log(0x1p-1074) + 744.4400719213812) < 1e-12);
    for (int turn = -9; turn < 9; turn++) {
        maths_circle(turn * 1.5707963267948966, &s, &c);
        int quarter = turn & 3;
        assert_true(fabs(s - (quarter == 1) + (quarter == 3)) < 1e-14);
        assert_true(fabs(c - (quarter == 0) + (quarter == 2)) < 1e-14);
    }
}

// Another compiler, system or processor must find these bits, too.
static void bits(void **state)
{
    (void)state;
    uint64_t random = 2, digest = 0;
    for (int i = 0; i < POINTS; i++) {
        double made[4], x = between(&random, -40, 40);
        made[0] = maths_exp(x);
        made[1] = maths_log(made[0]);
        maths_circle(x * 1000, &made[2], &made[3]);
        digest = XXH3_64bits_withSeed(made, sizeof made, digest);
    }
    printf("digest %016llx\n", (unsigned long long)digest);
    assert_true(digest == DIGEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(errors), cmocka_unit_test(edges),
                                       cmocka_unit_test(bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
