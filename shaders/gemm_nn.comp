#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "store.glsl"

#if TILE_WIDTH == 1
#define STAGE_X_DOWN 1
#define STAGE_W_DOWN 0

vec4 stage_x(uint i, uint k0)
{
    uint k = k0 + i % 4 * 4, row = min(gl_WorkGroupID.y * 64 + i / 4, a.rows - 1);
    return k < a.inner ? left4(row, k) : vec4(0);
}

vec4 stage_w(uint i, uint k0)
{
    uint k = k0 + i / 16, col = min(gl_WorkGroupID.x * 64 + i % 16 * 4, (a.outs - 1) & ~3u);
    return k < a.inner ? right4(k, col, a.outs) : vec4(0);
}
#include "shared_tile.glsl"

void main()
{
    uint begin = gl_WorkGroupID.z * a.span, end = min(begin + a.span, a.inner);
    if (a.shape == SHAPE_LEFT) end = min(end, gl_WorkGroupID.y * 64 + 64);
    shared_product(begin, end);
}
#else
// w[k, col .. col + COLS) as floats; nothing is read past the last row.
void right(uint k, uint col, out float w[COLS])
{
    uint row = min(k, a.inner - 1);
    if (COLS == 8 && WEIGHT >= Q8_0) {
        uint at = row * a.ldw + col;
        uvec2 quants = quants8(at);
        vec2 scale = scale_at(at);
        EACH(j, 8) w[j] = value4(quants[j / 4], scale)[j % 4];
        return;
    }
    EACH(q, COLS / 4) {
        vec4 v = right4(row, min(col + 4 * q, (a.outs - 1) & ~3u), a.outs);
        EACH(j, 4) w[4 * q + j] = v[j];
    }
}

// A thread owns COLS neighbouring columns. Workgroups of one z sum over a.span of the inner index.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * COLS, col = min(first, (a.outs - 1) / COLS * COLS);
    uint from[LOADS], begin = gl_WorkGroupID.z * a.span;
    EACH(i, LOADS) from[i] = min(row0 + i * WIDTH + lane, a.rows - 1);
    clear();
    uint end = min(begin + a.span, a.shape == SHAPE_LEFT ? min(a.inner, row0 + ROWS) : a.inner);
    for (uint k = begin; k < end; k += 4) {
        EACH(i, LOADS) x[i] = left4(from[i], k);
        float w[4][COLS];
        EACH(part, 4) right(k + part, col, w[part]);
        EACH(i, ROWS) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            EACH(j, COLS) EACH(part, 4) sum[i][j] += s[part] * w[part][j];
        }
    }
    store(row0, first);
}
#endif
