#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check/twin.h"
#include "ref_must.h"
#include "ref_twin.h"

static const char *const accesses[OP_COUNT] = {
#define OP(name, access, ...) [OP_##name] = #access,
#include "ops.def"
};

int twin_open(void **state)
{
    return rig_open_as(state, &(struct device_options){.strict = true});
}

// A copy of a buffer's first content, for the twin.
static uint32_t *copies[RIG_BUFFERS];

static uint64_t host_address(const struct rig *rig, uint64_t address)
{
    for (uint32_t i = 0; i < rig->count; i++) {
        const struct buffer *b = rig->buffers[i].buffer;
        if (address - b->address < b->bytes)
            return (uint64_t)(uintptr_t)copies[i] + (address - b->address);
    }
    return 0; // of an operand that is not read
}

static bool same(uint32_t got, uint32_t want)
{
    const uint32_t infinite = 0x7f800000, sign = 0x80000000;
    return got == want || ((got & ~sign) > infinite && (want & ~sign) > infinite);
}

static void compare(const struct rig *rig, enum op op, uint32_t number, const void *args,
                    size_t bytes)
{
    const struct rig_buffer *b = &rig->buffers[number];
    const uint32_t *now = (const uint32_t *)(const void *)b->content, *want = copies[number];
    uint64_t total = b->words + 2 * RIG_BAND, wrong = 0, first = 0;
    for (uint64_t i = total; i-- > 0;)
        if (!same(now[i], want[i])) {
            wrong++;
            first = i;
        }
    if (!wrong) return;
    const uint32_t *scalars = args;
    float got, wanted;
    memcpy(&got, &now[first], sizeof got);
    memcpy(&wanted, &want[first], sizeof wanted);
    for (size_t i = 2 * strlen(accesses[op]); i < bytes / 4; i++)
        fprintf(stderr, "%s%08x", i % 8 ? " " : "\n", scalars[i]);
    fail_msg("%s: %llu of %llu words of buffer %u differ; word %lld is %08x (%.9g), the twin's "
             "%08x (%.9g); scalars above", op_names[op], (unsigned long long)wrong,
             (unsigned long long)b->words, number, (long long)first - RIG_BAND, now[first],
             (double)got, want[first], (double)wanted);
}

void twin_check(struct rig *rig, enum op op, const void *args, size_t bytes)
{
    unsigned char own[CMD_PUSH_MAX];
    rig_run(rig);
    for (uint32_t i = 0; i < rig->count; i++) {
        size_t size = (rig->buffers[i].words + 2 * RIG_BAND) * sizeof *copies[i];
        copies[i] = rig_memory(1, size);
        memcpy(copies[i], rig->buffers[i].given, size);
    }
    memcpy(own, args, bytes);
    for (size_t i = 0; accesses[op][i]; i++) {
        uint64_t address;
        memcpy(&address, own + 8 * i, sizeof address);
        address = host_address(rig, address);
        memcpy(own + 8 * i, &address, sizeof address);
    }
    assert_non_null(twin_float[op]);
    twin_float[op](own);
    for (uint32_t i = 0; i < rig->count; i++) compare(rig, op, i, args, bytes);
    for (uint32_t i = 0; i < rig->count; i++) free(copies[i]);
}

float *wild(struct rig *rig, uint64_t count, int spread)
{
    float *x = rig_memory(count, sizeof *x);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bits = random_next(&rig->random);
        int exponent = (int)(random_next(&rig->random) % (2 * (uint64_t)spread + 1)) - spread;
        x[i] = (float)ldexp(1 + random_unit(&rig->random), exponent) * (bits & 1 ? -1 : 1);
        if (bits >> 1 & 7) continue;
        x[i] = 0;
    }
    return x;
}

static fbuf put(struct rig *rig, float *x, uint64_t count, bool changes)
{
    fbuf address = changes ? rig_change(rig, x, count) : rig_in(rig, x, count);
    free(x);
    return address;
}

fbuf wild_in(struct rig *rig, uint64_t count, int spread)
{
    return put(rig, wild(rig, count, spread), count, false);
}

fbuf wild_change(struct rig *rig, uint64_t count, int spread)
{
    return put(rig, wild(rig, count, spread), count, true);
}

fbuf even_in(struct rig *rig, uint64_t count, double scale)
{
    return put(rig, rig_random(rig, count, scale), count, false);
}

fbuf even_change(struct rig *rig, uint64_t count, double scale)
{
    return put(rig, rig_random(rig, count, scale), count, true);
}

fbuf some_in(struct rig *rig, uint64_t count, double low, double high)
{
    float *x = rig_random(rig, count, (high - low) / 2);
    for (uint64_t i = 0; i < count; i++) x[i] += (float)((low + high) / 2);
    return put(rig, x, count, false);
}

ubuf ids_in(struct rig *rig, uint32_t count, uint32_t below)
{
    uint32_t *ids = rig_random_ids(rig, count, below);
    ubuf address = rig_in(rig, ids, count);
    free(ids);
    return address;
}

ubuf order_in(struct rig *rig, uint32_t count, uint32_t below)
{
    uint32_t *ids = rig_memory(below, sizeof *ids);
    for (uint32_t i = 0; i < below; i++) {
        uint32_t j = (uint32_t)(random_next(&rig->random) % (i + 1));
        ids[i] = ids[j];
        ids[j] = i;
    }
    ubuf address = rig_in(rig, ids, count);
    free(ids);
    return address;
}
