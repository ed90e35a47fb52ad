// The validation layer's checks on the device find what a shader touches behind an allocation: one
// dispatch overruns on purpose. tests/validate.sh sets the layer up; without it this is skipped.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "ops/ops.h"
#include "ref_must.h"
#include "vk/buffer.h"

enum { N = 8 << 20, OVER = 64 }; // floats: so many have an allocation of their own

// Runs fill on n floats of a fresh buffer; how many errors the layer reports.
static uint32_t fill(struct device *dev, uint64_t over, uint64_t *first)
{
    struct buffer *y = NULL;
    struct cmd cmd;
    uint32_t before = dev->validation_errors;
    assert_true(buffer_new(dev, (uint64_t)N * 4, "y", &y));
    *first = y->address + y->bytes;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = y->address, .n = (uint32_t)(y->bytes / 4 + over),
                                     .value = 1});
    assert_true(cmd_run_once(&cmd));
    cmd_free(&cmd);
    buffer_free(dev, &y);
    return dev->validation_errors - before;
}

static void test_overrun(void **state)
{
    (void)state;
    struct device dev;
    uint64_t end;
    must(device_open(&dev, &(struct device_options){.validate = true}));
    printf("device: %s\n", dev.info.name);
    assert_int_equal(fill(&dev, 0, &end), 0);
    uint32_t reports = fill(&dev, OVER, &end);
    printf("%u reports of a write to %#llx and behind\n", reports, (unsigned long long)end);
    assert_true(reports > 0);
    device_close(&dev);
}

int main(void)
{
    const char *checks = getenv("VK_LAYER_GPUAV_ENABLE");
    if (!checks || checks[0] != '1') {
        printf("skipped: VK_LAYER_GPUAV_ENABLE is not set; tests/validate.sh does that\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_overrun)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
