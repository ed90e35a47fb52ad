// vk/hazard.h finds what it is for: barriers are taken away one by one, between it and cmd.c.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/forward.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"
#include "vk/hazard.h"

enum { N = 1000, NONE = -1 };

// Stands before the checker: it counts barriers and loses one of them.
static struct {
    PFN_vkCmdPipelineBarrier real;
    PFN_vkWaitForFences wait; // the driver's
    int count, lost;
} barriers;

static VKAPI_ATTR void VKAPI_CALL lossy(VkCommandBuffer commands, VkPipelineStageFlags from,
                                        VkPipelineStageFlags to, VkDependencyFlags flags,
                                        uint32_t count, const VkMemoryBarrier *memory,
                                        uint32_t buffer_count,
                                        const VkBufferMemoryBarrier *buffers, uint32_t image_count,
                                        const VkImageMemoryBarrier *images)
{
    if (barriers.count++ == barriers.lost) return;
    barriers.real(commands, from, to, flags, count, memory, buffer_count, buffers, image_count,
                  images);
}

struct bench {
    struct device dev;
    struct buffer *a, *b, *c;
    int lines; // a copy of stderr
    char said[1 << 16];
};

static int open_bench(void **state)
{
    struct bench *b = rig_memory(1, sizeof *b);
    bool ok = device_open(&b->dev, &(struct device_options){0});
    if (ok) barriers.wait = b->dev.vk.vkWaitForFences;
    if (!ok || !hazard_open(&b->dev)) {
        fprintf(stderr, "%s\n", status_message());
        return -1;
    }
    printf("device: %s\n", b->dev.info.name);
    barriers.real = b->dev.vk.vkCmdPipelineBarrier;
    b->dev.vk.vkCmdPipelineBarrier = lossy;
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    device_close(&b->dev);
    free(b);
    return 0;
}

// What is said goes to a file, from here to hear(), and then stands in b->said.
static void listen(struct bench *b)
{
    fflush(stderr);
    b->lines = dup(STDERR_FILENO);
    FILE *file = fopen(tiny_path("said"), "w");
    if (b->lines < 0 || !file || dup2(fileno(file), STDERR_FILENO) < 0) abort();
    fclose(file);
}

static void hear(struct bench *b)
{
    fflush(stderr);
    if (dup2(b->lines, STDERR_FILENO) < 0) abort();
    close(b->lines);
    FILE *file = fopen(tiny_path("said"), "r");
    if (!file) abort();
    b->said[fread(b->said, 1, sizeof b->said - 1, file)] = '\0';
    fclose(file);
}

static void fill(struct cmd *cmd, struct buffer *y)
{
    op_fill(cmd, (struct fill_args){.y = y->address, .n = N, .value = 1});
}

static void add(struct cmd *cmd, struct buffer *x, struct buffer *y)
{
    op_axpby(cmd, (struct axpby_args){.x = x->address, .y = y->address, .n = N, .alpha = 1,
                                      .beta = 1});
}

static void host_reads(struct bench *b, struct buffer *buffer)
{
    float value;
    must(buffer_read(&b->dev, buffer, 0, &value, 4));
}

// ---- scenes: each runs to its end, whatever is lost ----

static void read_after_write(struct bench *b) // opening, one, closing
{
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    fill(&cmd, b->b);
    fill(&cmd, b->a);
    add(&cmd, b->a, b->b);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    host_reads(b, b->b);
}

static void write_after_read(struct bench *b)
{
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    add(&cmd, b->a, b->b);
    fill(&cmd, b->a);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    host_reads(b, b->b);
}

static void write_after_write(struct bench *b)
{
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    fill(&cmd, b->a);
    fill(&cmd, b->a);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    host_reads(b, b->a);
}

static void two_runs(struct bench *b) // the second begins with what the first wrote
{
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    fill(&cmd, b->a);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    host_reads(b, b->a);
    cmd_start(&cmd, &b->dev, false);
    add(&cmd, b->a, b->c);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    host_reads(b, b->c);
}

static void copied(struct bench *b) // two barriers of a run, two of a copy
{
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    fill(&cmd, b->a);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    must(buffer_copy(&b->dev, b->a, b->b, N * 4));
    host_reads(b, b->b);
}

static void cut(struct bench *b) // submits in flight at once
{
    const double rate = b->dev.rate;
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    b->dev.rate = 1e4; // as if the device were very slow
    for (int i = 0; i < 6; i++) add(&cmd, b->b, b->a);
    must(cmd_run_once(&cmd));
    b->dev.rate = rate;
    cmd_free(&cmd);
    host_reads(b, b->a);
}

// How many errors are reported with barrier `lost` missing.
static uint32_t errors(struct bench *b, void (*scene)(struct bench *), int lost)
{
    uint32_t before = b->dev.validation_errors;
    barriers.lost = NONE;
    buffer_free(&b->dev, &b->a); // nothing is known of new ones
    buffer_free(&b->dev, &b->b);
    buffer_free(&b->dev, &b->c);
    must(buffer_new(&b->dev, N * 4, "a", &b->a) && buffer_new(&b->dev, N * 4, "b", &b->b) &&
         buffer_new(&b->dev, N * 4, "c", &b->c));
    scene(b); // so that the device has used everything before
    assert_int_equal(b->dev.validation_errors, before);
    barriers.count = 0;
    barriers.lost = lost;
    listen(b);
    scene(b);
    barriers.lost = NONE;
    hear(b);
    return b->dev.validation_errors - before;
}

static void test_scenes(void **state)
{
    struct bench *b = *state;
    static const struct {
        void (*scene)(struct bench *);
        const char *needed; // a letter a barrier: + its loss must be told, - others do its work
        int lost;
        const char *line; // what is said when that one is lost
    } scenes[] = {
        {read_after_write, "+++", 1,
         "read after write: axpby reads 'a', which fill wrote, without a barrier between them"},
        {write_after_read, "+++", 1, "write after read: fill writes 'a', which axpby read"},
        {write_after_write, "+++", 1, "write after write: fill writes 'a', which fill wrote"},
        {two_runs, "-+++", 1, "read after write: the host reads 'a', which fill wrote"},
        {two_runs, "-+++", 2, "read after write: axpby reads 'a', which fill wrote"},
        {copied, "---+", 3, "read after write: the host reads 'b', which a copy wrote"},
        {cut, "+-+-+-+-+-++", 2, "read after write: axpby reads 'a', which axpby wrote"},
    };
    for (size_t i = 0; i < COUNT(scenes); i++)
        for (int lost = 0; scenes[i].needed[lost]; lost++) {
            char found = errors(b, scenes[i].scene, lost) > 0 ? '+' : '-';
            assert_int_equal(barriers.count, strlen(scenes[i].needed));
            if (found != scenes[i].needed[lost])
                fail_msg("scene %zu without barrier %d: got %c, wanted %c: %s", i, lost, found,
                         scenes[i].needed[lost], b->said);
            if (lost == scenes[i].lost && !strstr(b->said, scenes[i].line))
                fail_msg("got '%s', wanted '%s'", b->said, scenes[i].line);
        }
}

// A forward pass through a small model: every barrier is needed, and the loss of any is told.
static struct {
    struct weights weights;
    struct model model;
    struct batch batch;
    struct cache cache;
    struct acts acts;
    struct head head;
} pass;

static void forward(struct bench *b)
{
    struct cmd cmd;
    cmd_start(&cmd, &b->dev, false);
    forward_embed(&cmd, &pass.model, &pass.batch, &pass.acts);
    forward_layers(&cmd, &pass.model, &pass.batch, &pass.cache, &pass.acts, 0,
                   pass.model.config.layers);
    forward_head(&cmd, &pass.model, &pass.head,
                 pass.acts.stream[pass.model.config.layers]->address);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    host_reads(b, pass.head.logits);
}

static void test_forward(void **state)
{
    struct bench *b = *state;
    const struct tiny tiny = {.layers = 2, .dim = 32, .ffn = 48, .heads = 2, .kv_heads = 1,
                              .head_dim = 16, .vocab = 64, .context = 32, .seed = 3};
    const uint32_t tokens[] = {0, 5, 9, 2}, index[] = {3};
    const struct sequence sequence = {.tokens = tokens, .end = COUNT(tokens)};
    tiny_write(&tiny, tiny_path("model.gguf"));
    must(weights_open(&pass.weights, tiny_path("model.gguf")) &&
         model_open(&pass.model, &b->dev, &pass.weights) &&
         batch_new(&pass.batch, &pass.model, &sequence, 1) &&
         cache_new(&pass.cache, &pass.model, 0, tiny.layers, COUNT(tokens), false) &&
         acts_new(&pass.acts, &pass.model, 0, tiny.layers, &pass.batch, true) &&
         head_new(&pass.head, &pass.model, index, 1));
    int count = 1;
    uint32_t least = UINT32_MAX;
    for (int lost = 0; lost < count; lost++) {
        uint32_t found = errors(b, forward, lost);
        count = barriers.count;
        // What stands before the opening one was waited for, and all of it is written anew.
        if (found == 0 && lost > 0)
            fail_msg("barrier %d of %d is lost, nobody says so", lost, count);
        if (lost > 0 && found < least) least = found;
    }
    printf("each of %d barriers is missed: %u reports or more\n", count - 1, least);
    assert_true(count > 20);
    head_free(&pass.head);
    acts_free(&pass.acts);
    cache_free(&pass.cache);
    batch_free(&pass.batch);
    model_close(&pass.model);
    weights_close(&pass.weights);
}

// What is submitted must still be there, and what the device uses the host must leave alone.
static void test_lifetime(void **state)
{
    struct bench *b = *state;
    struct buffer *x = NULL;
    struct cmd cmd;
    must(buffer_new(&b->dev, N * 4, "x", &x));
    cmd_start(&cmd, &b->dev, true);
    fill(&cmd, x);
    must(cmd_end(&cmd));
    uint32_t before = b->dev.validation_errors;
    must(cmd_replay(&cmd));
    assert_int_equal(b->dev.validation_errors, before);
    // The checker is told of a submit, but not that it is waited for.
    PFN_vkWaitForFences wait = b->dev.vk.vkWaitForFences;
    b->dev.vk.vkWaitForFences = barriers.wait;
    must(cmd_replay(&cmd));
    b->dev.vk.vkWaitForFences = wait;
    listen(b);
    host_reads(b, x);
    hear(b);
    assert_non_null(
        strstr(b->said, "the host reads 'x', which fill wrote, without waiting for it"));
    must(cmd_replay(&cmd));
    buffer_free(&b->dev, &x);
    listen(b);
    must(cmd_replay(&cmd));
    hear(b);
    assert_non_null(strstr(b->said, "fill is submitted, its argument 1 is in no live buffer"));
    cmd_free(&cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenes), cmocka_unit_test(test_forward),
        cmocka_unit_test(test_lifetime)};
    tiny_folder_new();
    int code = cmocka_run_group_tests(tests, open_bench, close_bench);
    tiny_folder_remove();
    return code;
}
