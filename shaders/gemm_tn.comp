#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"

// A thread owns four neighbouring columns; x is read down its columns: lane i holds row
// k + i / QUADS of the inner index, columns row0 + 4 * (i % QUADS) to + 3.
const uint QUADS = ROWS / 4, DEPTH = WIDTH / QUADS;

// y = alpha * sum + beta * r at one place.
void store(uint row, uint col, float sum)
{
    if (row >= a.rows || col >= a.outs) return;
    uint at = row * a.ldy + col;
    float y = a.alpha * sum;
    if (a.beta != 0) y += a.beta * a.y.v[at];
    a.y.v[at] = y;
}

vec4 x4(uint k, uint col)
{
    uint at = k * a.ldx + col;
    return UNALIGNED ? edge4(a.x, at, col, a.rows) : vbuf(uvec2(a.x)).v[at >> 2];
}

void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * 4, col = min(first, (a.outs - 1) & ~3u);
    uint group_first = gl_WorkGroupID.x * gl_WorkGroupSize.x * 4;
    if (a.shape == SHAPE_LOWER && group_first > row0 + ROWS - 1) return;
    uint x_col = min(row0 + 4 * (lane % QUADS), (a.rows - 1) & ~3u), x_row = lane / QUADS;
    vec4 sum[ROWS];
#define CLEAR(i) sum[i] = vec4(0);
    EACH_ROW(CLEAR)
    // x^T is upper triangular where x is lower: nothing above the diagonal of x.
    for (uint k = a.shape == SHAPE_LEFT ? row0 : 0; k < a.inner; k += DEPTH) {
        vec4 x = k + x_row < a.inner ? x4(k + x_row, x_col) : vec4(0);
        vec4 w = right4(k, col, a.outs);
#define ADD(i) sum[i] += subgroupBroadcast(x[(i) % 4], (i) / 4) * w;
        EACH_ROW(ADD)
        if (DEPTH > 1) {
            w = k + 1 < a.inner ? right4(k + 1, col, a.outs) : vec4(0);
#define ADD_NEXT(i) sum[i] += subgroupBroadcast(x[(i) % 4], (DEPTH > 1 ? QUADS : 0) + (i) / 4) * w;
            EACH_ROW(ADD_NEXT)
        }
    }
#define STORE(i)                             \
    store(row0 + i, first, sum[i].x);        \
    store(row0 + i, first + 1, sum[i].y);    \
    store(row0 + i, first + 2, sum[i].z);    \
    store(row0 + i, first + 3, sum[i].w);
    EACH_ROW(STORE)
}
