#include "cli/bench_kit.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

enum { SEED = 20240607, PIECE = 1 << 20 };

void kit_free(struct kit *k)
{
    for (uint32_t i = 0; i < k->count; i++) buffer_free(k->bench->dev, &k->buffers[i]);
    k->count = 0;
}

uint32_t kit_rows(struct kit *k)
{
    k->rows_used = true;
    return k->rows;
}

static struct buffer *add(struct kit *k, uint64_t bytes)
{
    k->bytes += bytes;
    if (bytes > k->largest) k->largest = bytes;
    if (k->counting || k->failed) return NULL;
    assert(k->count < KIT_BUFFERS);
    struct buffer **buffer = &k->buffers[k->count];
    k->failed = !buffer_new(k->bench->dev, bytes, "a bench", buffer);
    if (!k->failed) k->count++;
    return *buffer;
}

fbuf kit_floats(struct kit *k, uint64_t n)
{
    struct buffer *buffer = add(k, 4 * n);
    if (!buffer) return 0;
    struct cmd cmd;
    cmd_start(&cmd, k->bench->dev, false);
    op_random(&cmd, (struct random_args){.y = buffer->address, .n = (uint)n, .seed = SEED});
    k->failed = !cmd_run_once(&cmd);
    cmd_free(&cmd);
    return buffer->address;
}

fbuf kit_all(struct kit *k, uint64_t n, float value)
{
    struct buffer *buffer = add(k, 4 * n);
    if (!buffer) return 0;
    struct cmd cmd;
    cmd_start(&cmd, k->bench->dev, false);
    op_fill(&cmd, (struct fill_args){.y = buffer->address, .n = (uint)n, .value = value});
    k->failed = !cmd_run_once(&cmd);
    cmd_free(&cmd);
    return buffer->address;
}

// Takes the host's copy over.
static fbuf given(struct kit *k, void *host, uint64_t bytes)
{
    struct buffer *buffer = host ? add(k, bytes) : NULL;
    if (!host) k->failed = true;
    if (buffer) k->failed = !buffer_write(k->bench->dev, buffer, 0, host, bytes);
    free(host);
    return buffer ? buffer->address : 0;
}

fbuf kit_iota(struct kit *k, uint32_t n, uint32_t first, uint32_t below)
{
    uint32_t *host = mem_new(n, sizeof *host, "a bench");
    for (uint32_t i = 0; host && i < n; i++) host[i] = (first + i) % below;
    return given(k, host, 4ull * n);
}

fbuf kit_words(struct kit *k, uint32_t n, uint32_t value)
{
    uint32_t *host = mem_new(n, sizeof *host, "a bench");
    for (uint32_t i = 0; host && i < n; i++) host[i] = value;
    return given(k, host, 4ull * n);
}

fbuf kit_definite(struct kit *k, uint32_t count, uint32_t n)
{
    uint64_t size = (uint64_t)n * n, state = SEED;
    float *host = mem_new(count * size, sizeof *host, "a bench");
    for (uint32_t m = 0; host && m < count; m++)
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j <= i; j++) {
                // Rows that sum to under 1 beside the diagonal.
                float x = (float)((random_unit(&state) - 0.5) / n);
                host[m * size + i * n + j] = host[m * size + j * n + i] = i == j ? 1 : x;
            }
    return given(k, host, 4 * count * size);
}

uint64_t kit_weight_bytes(uint32_t rows, uint32_t cols, uint32_t dtype)
{
    const struct dtype_info *info = &dtype_table[dtype];
    return (uint64_t)rows * cols / info->block * info->bytes;
}

// Any bits will do, but for the exponents of 16-bit floats, which stay below infinity.
fbuf kit_weight(struct kit *k, uint32_t rows, uint32_t cols, uint32_t dtype)
{
    uint64_t bytes = kit_weight_bytes(rows, cols, dtype), state = SEED;
    if (dtype == DTYPE_F32) return kit_floats(k, (uint64_t)rows * cols);
    struct buffer *buffer = add(k, bytes);
    uint64_t *host = buffer ? mem_new(PIECE, 1, "a bench") : NULL;
    if (buffer && !host) k->failed = true;
    for (uint32_t i = 0; host && i < PIECE / 8; i++)
        host[i] = random_next(&state) & 0x3bff3bff3bff3bffu;
    for (uint64_t at = 0; host && !k->failed && at < bytes; at += PIECE)
        k->failed = !buffer_write(k->bench->dev, buffer, at, host,
                                  bytes - at < PIECE ? bytes - at : PIECE);
    free(host);
    return buffer ? buffer->address : 0;
}
