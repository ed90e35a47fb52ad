#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"

// A thread owns four neighbouring columns; x is read down its columns: lane i holds row
// k + i / (ROWS / 4) of the inner index, columns row0 + 4 * (i % (ROWS / 4)).
const uint QUADS = ROWS / 4, DEPTH = WIDTH / QUADS > 0 ? WIDTH / QUADS : 1;

vec4 x4(uint k, uint col)
{
    uint at = k * a.ldx + col;
    if (!UNALIGNED) return vbuf(uvec2(a.x)).v[at >> 2];
    vec4 x = vec4(0);
    for (uint i = 0; i < 4; i++)
        if (col + i < a.rows) x[i] = a.x.v[at + i];
    return x;
}

void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * 4, col = min(first, (a.outs - 1) & ~3u);
    uint group_first = gl_WorkGroupID.x * gl_WorkGroupSize.x * 4;
    if (a.symmetric != 0 && group_first > row0 + ROWS - 1) return;
    uint x_col = min(row0 + 4 * (lane % QUADS), (a.rows - 1) & ~3u), x_row = lane / QUADS;
    vec4 sum[ROWS];
    [[unroll]] for (uint i = 0; i < ROWS; i++) sum[i] = vec4(0);
    for (uint k = 0; k < a.inner; k += DEPTH) {
        vec4 x = k + x_row < a.inner ? x4(k + x_row, x_col) : vec4(0);
        [[unroll]] for (uint l = 0; l < DEPTH; l++) {
            vec4 w = k + l < a.inner ? right4(k + l, col, a.outs) : vec4(0);
            [[unroll]] for (uint i = 0; i < ROWS; i++)
                sum[i] += subgroupBroadcast(x[i % 4], l * QUADS + i / 4) * w;
        }
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        if (row0 + i >= a.rows) return;
        [[unroll]] for (uint j = 0; j < 4; j++) {
            if (first + j >= a.outs) continue;
            uint at = (row0 + i) * a.ldy + first + j;
            float y = a.alpha * sum[i][j];
            if (a.beta != 0) y += a.beta * a.y.v[at];
            a.y.v[at] = y;
        }
    }
}
