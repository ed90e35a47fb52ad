#define _GNU_SOURCE // setenv
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"
#include "vk/hazard.h"

// Two quiet NaNs, so that a band that was overwritten by an output's start value shows, too.
static const uint32_t BAND_WORD = 0x7fc0beef, OUT_WORD = 0x7fc0dead;

int rig_open(void **state)
{
    return rig_open_as(state, &(struct device_options){0});
}

int rig_open_as(void **state, const struct device_options *options)
{
    struct rig *rig = rig_memory(1, sizeof *rig);
    rig->dev = rig_memory(1, sizeof *rig->dev);
    rig->random = 20240607;
    // Barriers are checked by all tests: that costs next to nothing.
    if (!device_open(rig->dev, options) || !hazard_open(rig->dev)) {
        fprintf(stderr, "%s\n", status_message());
        free(rig->dev);
        free(rig);
        return -1;
    }
    printf("device: %s, seed %llu\n", rig->dev->info.name, (unsigned long long)rig->random);
    *state = rig;
    return 0;
}

int rig_close(void **state)
{
    struct rig *rig = *state;
    rig_drop(rig);
    for (uint32_t i = 0; i < rig->error_count; i++)
        printf("%-32s largest error %8.2e, %5.1f%% of its bound\n", rig->errors[i].what,
               rig->errors[i].error, 100 * rig->errors[i].part);
    uint32_t hazards = rig->dev->validation_errors;
    device_close(rig->dev);
    free(rig->dev);
    free(rig);
    if (hazards == 0) return 0;
    fprintf(stderr, "%u validation errors are above\n", hazards);
    exit(1); // cmocka does not count what a group's tear-down returns
}

// C and grad G go to the cache: into the test's own folder, not the user's.
int rig_open_in_folder(void **state)
{
    tiny_folder_new();
    setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
    log_level_set(LOG_QUIET);
    char *text = tiny_text(1400, 5);
    FILE *file = fopen(tiny_path("text.txt"), "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) return -1;
    free(text);
    return rig_open(state);
}

int rig_close_in_folder(void **state)
{
    tiny_folder_remove();
    return rig_close(state);
}

void *rig_memory(uint64_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) abort();
    return memory;
}

static fbuf add(struct rig *rig, const void *words, uint64_t count, bool changes)
{
    assert_true(rig->count < RIG_BUFFERS);
    struct rig_buffer *b = &rig->buffers[rig->count++];
    uint64_t total = count + 2 * RIG_BAND;
    *b = (struct rig_buffer){.words = count, .changes = changes};
    b->given = rig_memory(total, sizeof *b->given);
    for (uint64_t i = 0; i < total; i++) b->given[i] = BAND_WORD;
    for (uint64_t i = 0; i < count && !words; i++) b->given[RIG_BAND + i] = OUT_WORD;
    if (words && count) memcpy(b->given + RIG_BAND, words, count * sizeof *b->given);
    must(buffer_from(rig->dev, b->given, total * sizeof *b->given, "a test", &b->buffer));
    if (!rig->cmd.dev) cmd_start(&rig->cmd, rig->dev, false);
    return b->buffer->address + RIG_BAND * sizeof *b->given;
}

fbuf rig_in(struct rig *rig, const void *words, uint64_t count)
{
    return add(rig, words, count, false);
}

fbuf rig_out(struct rig *rig, uint64_t count)
{
    return add(rig, NULL, count, true);
}

fbuf rig_change(struct rig *rig, const void *words, uint64_t count)
{
    return add(rig, words, count, true);
}

// The first word that had to stay as it was, and did not, from the payload on.
static bool changed(const struct rig_buffer *b, int64_t *word)
{
    const uint32_t *now = (const uint32_t *)(const void *)b->content;
    for (uint64_t i = 0; i < b->words + 2 * RIG_BAND; i++) {
        bool inside = i >= RIG_BAND && i < RIG_BAND + b->words;
        if ((inside && b->changes) || now[i] == b->given[i]) continue;
        *word = (int64_t)i - RIG_BAND;
        return true;
    }
    return false;
}

bool rig_try(struct rig *rig, uint32_t *number, int64_t *word)
{
    must(cmd_run_once(&rig->cmd));
    assert_int_equal(rig->dev->validation_errors, 0);
    for (uint32_t i = 0; i < rig->count; i++) {
        struct rig_buffer *b = &rig->buffers[i];
        uint64_t total = b->words + 2 * RIG_BAND;
        if (!b->content) b->content = rig_memory(total, sizeof *b->content);
        must(buffer_read(rig->dev, b->buffer, 0, b->content, total * sizeof *b->content));
        *number = i;
        if (changed(b, word)) return false;
    }
    return true;
}

void rig_run(struct rig *rig)
{
    uint32_t number = 0;
    int64_t word = 0;
    if (rig_try(rig, &number, &word)) return;
    const struct rig_buffer *b = &rig->buffers[number];
    bool inside = word >= 0 && (uint64_t)word < b->words;
    fail_msg("buffer %u of %llu words: word %lld was %08x and is another; %s", number,
             (unsigned long long)b->words, (long long)word, b->given[word + RIG_BAND],
             inside ? "it is an input" : "it lies outside");
}

const float *rig_floats(const struct rig *rig, fbuf address)
{
    for (uint32_t i = 0; i < rig->count; i++)
        if (rig->buffers[i].buffer->address + RIG_BAND * 4 == address)
            return rig->buffers[i].content + RIG_BAND;
    fail_msg("no buffer of the rig starts there");
    return NULL;
}

const uint32_t *rig_words(const struct rig *rig, fbuf address)
{
    return (const uint32_t *)(const void *)rig_floats(rig, address);
}

void rig_drop(struct rig *rig)
{
    cmd_free(&rig->cmd);
    for (uint32_t i = 0; i < rig->count; i++) {
        buffer_free(rig->dev, &rig->buffers[i].buffer);
        free(rig->buffers[i].given);
        free(rig->buffers[i].content);
    }
    rig->count = 0;
}

static struct rig_error *error_of(struct rig *rig, const char *what)
{
    for (uint32_t i = 0; i < rig->error_count; i++)
        if (strcmp(rig->errors[i].what, what) == 0) return &rig->errors[i];
    assert_true(rig->error_count < RIG_ERRORS);
    rig->errors[rig->error_count] = (struct rig_error){.what = what};
    return &rig->errors[rig->error_count++];
}

void rig_near_host(struct rig *rig, const char *what, const float *got, const double *want,
                   const double *size, uint64_t count, double factor)
{
    struct rig_error *worst = error_of(rig, what);
    for (uint64_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - want[i]);
        double bound = factor * RIG_EPS * fabs(size ? size[i] : want[i]) + 0x1p-62;
        if (!(error <= bound))
            fail_msg("%s: element %llu of %llu is %.9g, wanted %.9g within %.3g, error %.3g", what,
                     (unsigned long long)i, (unsigned long long)count, (double)got[i], want[i],
                     bound, error);
        worst->error = fmax(worst->error, error);
        worst->part = fmax(worst->part, error / bound);
    }
}

void rig_near(struct rig *rig, const char *what, fbuf address, const double *want,
              const double *size, uint64_t count, double factor)
{
    rig_near_host(rig, what, rig_floats(rig, address), want, size, count, factor);
}

float *rig_random(struct rig *rig, uint64_t count, double scale)
{
    float *x = rig_memory(count, sizeof *x);
    for (uint64_t i = 0; i < count; i++)
        x[i] = (float)((2 * random_unit(&rig->random) - 1) * scale);
    return x;
}

uint32_t *rig_random_ids(struct rig *rig, uint64_t count, uint32_t below)
{
    uint32_t *ids = rig_memory(count, sizeof *ids);
    for (uint64_t i = 0; i < count; i++) ids[i] = (uint32_t)(random_next(&rig->random) % below);
    return ids;
}

double rig_depth(uint64_t n)
{
    return (double)n / 64 + 20;
}
