// Barriers are derived from access strings; submits are cut; buffers come and go.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "ops/ops.h"
#include "ref_must.h"
#include "vk/buffer.h"

enum { N = 1024 };

struct rig {
    struct device dev;
    struct buffer *a, *b, *c;
};

static int rig_start(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct device_options options = {0};
    if (!rig || !device_open(&rig->dev, &options) ||
        !buffer_new(&rig->dev, N * 4, "a", &rig->a) ||
        !buffer_new(&rig->dev, N * 4, "b", &rig->b) ||
        !buffer_new(&rig->dev, N * 4, "c", &rig->c)) {
        fprintf(stderr, "%s\n", status_message());
        return -1;
    }
    *state = rig;
    return 0;
}

static int rig_end(void **state)
{
    struct rig *rig = *state;
    device_close(&rig->dev);
    free(rig);
    return 0;
}

static void fill(struct cmd *cmd, struct buffer *y, float value)
{
    op_fill(cmd, (struct fill_args){.y = y->address, .n = N, .value = value});
}

static void copy(struct cmd *cmd, struct buffer *x, struct buffer *y, float alpha, float beta)
{
    op_axpby(cmd, (struct axpby_args){.x = x->address, .y = y->address, .n = N, .alpha = alpha,
                                      .beta = beta});
}

// Barriers recorded by one more dispatch.
#define BARRIERS(rig, dispatch)                                                                    \
    (epoch = (rig)->dev.epoch, (dispatch), (unsigned)((rig)->dev.epoch - epoch))

static void test_barriers(void **state)
{
    struct rig *rig = *state;
    struct cmd cmd;
    uint32_t epoch;
    cmd_start(&cmd, &rig->dev, false);
    fill(&cmd, rig->a, 1); // opens the recording, which has a barrier of its own
    assert_int_equal(BARRIERS(rig, fill(&cmd, rig->b, 2)), 0);                  // another buffer
    assert_int_equal(BARRIERS(rig, fill(&cmd, rig->c, 3)), 0);                  // another buffer
    assert_int_equal(BARRIERS(rig, fill(&cmd, rig->a, 4)), 1);                  // write after write
    assert_int_equal(BARRIERS(rig, copy(&cmd, rig->a, rig->b, 1, 0)), 1);       // read after write
    assert_int_equal(BARRIERS(rig, copy(&cmd, rig->a, rig->c, 2, 0)), 0);       // read after read
    assert_int_equal(BARRIERS(rig, fill(&cmd, rig->a, 5)), 1);                  // write after read
    assert_int_equal(BARRIERS(rig, copy(&cmd, rig->c, rig->b, 1, 1)), 0);       // both settled
    assert_true(cmd_run_once(&cmd));
    float a, b, c;
    assert_true(buffer_read(&rig->dev, rig->a, 4 * (N - 1), &a, 4));
    assert_true(buffer_read(&rig->dev, rig->b, 4 * (N - 1), &b, 4));
    assert_true(buffer_read(&rig->dev, rig->c, 4 * (N - 1), &c, 4));
    assert_true(a == 5 && b == 12 && c == 8);
    cmd_free(&cmd);
}

// A part of a buffer is the buffer: offsets must not hide a hazard.
static void test_offsets(void **state)
{
    struct rig *rig = *state;
    struct cmd cmd;
    uint32_t epoch;
    cmd_start(&cmd, &rig->dev, false);
    op_fill(&cmd, (struct fill_args){.y = rig->a->address, .n = N / 2, .value = 1});
    assert_int_equal(BARRIERS(rig, op_fill(&cmd, (struct fill_args){.y = rig->a->address + 2 * N,
                                                                    .n = N / 2, .value = 1})),
                     1);
    assert_true(cmd_run_once(&cmd));
    cmd_free(&cmd);
}

// A long recording is cut into submits, each begun with a barrier, and gives the same result.
static void test_cut(void **state)
{
    struct rig *rig = *state;
    for (int replayed = 0; replayed < 2; replayed++) {
        struct cmd cmd;
        cmd_start(&cmd, &rig->dev, replayed);
        rig->dev.rate = 1e5; // as if the device were very slow
        fill(&cmd, rig->a, 0);
        fill(&cmd, rig->b, 1);
        for (int i = 0; i < 200; i++) copy(&cmd, rig->b, rig->a, 1, 1);
        assert_true(cmd.segment_count > 20);
        if (replayed) {
            assert_true(cmd_end(&cmd) && cmd_replay(&cmd) && cmd_replay(&cmd));
        } else {
            assert_true(cmd_run_once(&cmd));
        }
        float a;
        assert_true(buffer_read(&rig->dev, rig->a, 0, &a, 4));
        assert_true(a == 200);
        cmd_free(&cmd);
    }
}

// Buffers taken and given back in any order leave no hole and do not overlap.
static void test_arena(void **state)
{
    struct rig *rig = *state;
    struct buffer *many[64] = {0};
    uint64_t used = rig->dev.bytes_used;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 64; i++)
            assert_true(buffer_new(&rig->dev, (uint64_t)(i * 977 + 1), "many", &many[i]));
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < 64; j++)
                assert_true(i == j || many[i]->address + many[i]->bytes <= many[j]->address ||
                            many[j]->address + many[j]->bytes <= many[i]->address);
        for (int i = 0; i < 64; i++)
            assert_ptr_equal(buffer_at(&rig->dev, many[i]->address + many[i]->bytes - 1), many[i]);
        for (int i = 0; i < 64; i++) buffer_free(&rig->dev, &many[(i * 37 + round) % 64]);
        assert_int_equal(rig->dev.bytes_used, used);
    }
}

static void test_too_much(void **state)
{
    struct rig *rig = *state;
    struct buffer *huge = NULL;
    assert_false(buffer_new(&rig->dev, UINT64_C(1) << 50, "a huge matrix", &huge));
    assert_null(huge);
    assert_int_equal(status_code(), STATUS_NO_MEMORY);
    assert_non_null(strstr(status_message(), "a huge matrix"));
    status_clear();
}

static void test_no_device(void **state)
{
    (void)state;
    struct device dev;
    struct device_options options = {.name = "no such device"};
    assert_false(device_open(&dev, &options));
    assert_int_equal(status_code(), STATUS_NO_DEVICE);
    status_clear();
    options.name = "4000";
    assert_false(device_open(&dev, &options));
    assert_int_equal(status_code(), STATUS_NO_DEVICE);
    status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barriers), cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_cut),      cmocka_unit_test(test_arena),
        cmocka_unit_test(test_too_much), cmocka_unit_test(test_no_device),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_end);
}
