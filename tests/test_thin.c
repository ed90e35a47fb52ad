// shift I + sum x x^T in a basis of the x: solutions against Cholesky of the dense sum in double,
// over several growths of the room, with vectors that add no direction and a shift that is small.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "linalg/thin.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_rig.h"

enum { LONG = 70, COUNT = 40, REPEATED = 3, REPEAT = 7 };

struct system {
    struct device *dev;
    struct thin thin;
    struct buffer *row, *right, *result;
    float x[COUNT * LONG], b[LONG];
    double sum[LONG * LONG];
};

static void system_open(struct system *s, struct rig *rig, double shift, uint64_t seed)
{
    *s = (struct system){.dev = rig->dev};
    for (uint32_t i = 0; i < COUNT * LONG; i++) s->x[i] = (float)ref_uniform(&seed);
    for (uint32_t i = 0; i < LONG; i++) {
        s->b[i] = (float)ref_uniform(&seed);
        s->x[REPEAT * LONG + i] = 3 * s->x[REPEATED * LONG + i]; // no direction of its own
        s->sum[i * (LONG + 1)] = (double)(float)shift;
    }
    must(thin_new(s->dev, LONG, shift, 3, &s->thin) &&
         buffer_new(s->dev, 4 * LONG, "x", &s->row) &&
         buffer_from(s->dev, s->b, 4 * LONG, "b", &s->right) &&
         buffer_new(s->dev, 4 * LONG, "y", &s->result));
}

static void system_close(struct system *s)
{
    thin_free(&s->thin);
    thin_free(&s->thin); // twice
    buffer_free(s->dev, &s->row);
    buffer_free(s->dev, &s->right);
    buffer_free(s->dev, &s->result);
}

static void push(struct system *s, uint32_t t)
{
    const float *x = s->x + t * LONG;
    must(buffer_write(s->dev, s->row, 0, x, 4 * LONG) && thin_push(&s->thin, s->row->address));
    for (uint32_t i = 0; i < LONG * LONG; i++)
        s->sum[i] += (double)x[i / LONG] * (double)x[i % LONG];
}

// The basis is orthonormal to n eps and M's entries are exact to t eps |x|^2: an error of S of
// about (n + t) eps mass, which the condition enlarges. What lies outside of the span has none.
static void check(struct system *s, double shift, uint32_t t)
{
    double y[LONG], wide[LONG], apart = 0, length = 0;
    float got[LONG];
    must(thin_solve(&s->thin, s->right->address, s->result->address) &&
         buffer_read(s->dev, s->result, 0, got, sizeof got));
    for (uint32_t i = 0; i < LONG; i++) wide[i] = (double)s->b[i];
    ref_solve_dense(s->sum, LONG, false, wide, y);
    for (uint32_t i = 0; i < LONG; i++) {
        apart += pow((double)got[i] - y[i], 2);
        length += y[i] * y[i];
    }
    const double bound = (LONG + t) * RIG_EPS * (1 + s->thin.mass / shift);
    if (!(sqrt(apart / length) <= bound))
        fail_msg("%u vectors, shift %g: %g off, at most %g", t, shift, sqrt(apart / length), bound);
}

static void solve_case(struct rig *rig, double shift)
{
    struct system *s = rig_memory(1, sizeof *s);
    system_open(s, rig, shift, 3);
    for (uint32_t t = 0; t <= COUNT; t++) {
        check(s, shift, t);
        assert_int_equal(s->thin.basis.rows, t > REPEAT ? t - 1 : t);
        if (t < COUNT) push(s, t);
    }
    assert_true(s->thin.basis.capacity >= COUNT - 1 && s->thin.inner->wanted <
                4ull * LONG * LONG); // not as large as the dense sum
    system_close(s);
    free(s);
}

static void test_solve(void **state)
{
    solve_case(*state, 0.25);
    solve_case(*state, 16);
    solve_case(*state, 1e-3);
}

static void test_not_finite(void **state)
{
    struct system *s = rig_memory(1, sizeof *s);
    system_open(s, *state, 1, 5);
    push(s, 0);
    s->x[LONG + 5] = INFINITY;
    must(buffer_write(s->dev, s->row, 0, s->x + LONG, 4 * LONG));
    assert_false(thin_push(&s->thin, s->row->address));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    status_clear();
    system_close(s);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solve),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
