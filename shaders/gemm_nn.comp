#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"

// A thread owns four neighbouring columns.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * 4, col = min(first, (a.outs - 1) & ~3u);
    uint from[LOADS];
    vec4 sum[ROWS];
    [[unroll]] for (uint i = 0; i < LOADS; i++)
        from[i] = min(row0 + i * WIDTH + lane, a.rows - 1);
    [[unroll]] for (uint i = 0; i < ROWS; i++) sum[i] = vec4(0);
    for (uint k = 0; k < a.inner; k += 4) {
        vec4 x[LOADS], w[4];
        [[unroll]] for (uint i = 0; i < LOADS; i++) x[i] = left4(from[i], k);
        [[unroll]] for (uint l = 0; l < 4; l++)
            w[l] = right4(min(k + l, a.inner - 1), col, a.outs);
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            [[unroll]] for (uint l = 0; l < 4; l++) sum[i] += s[l] * w[l];
        }
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        if (row0 + i >= a.rows) return;
        [[unroll]] for (uint j = 0; j < 4; j++) {
            if (first + j >= a.outs) continue;
            uint at = (row0 + i) * a.ldy + first + j;
            float y = a.alpha * sum[i][j];
            if (a.beta != 0) y += a.beta * a.r.v[at];
            a.y.v[at] = y;
        }
    }
}
