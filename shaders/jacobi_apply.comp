#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "rows_tile.glsl"
#include "pairs.glsl"

// As gemm_nn on gathered rows, plus the row each row was: a thread owns TILE_ROWS rows of a pair
// and four columns.
void main()
{
    uint p = gl_WorkGroupID.z, first = gl_GlobalInvocationID.x * 4;
    uvec2 pair = pair_blocks(p, a.meeting, a.blocks);
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint col = min(first, a.outs - 4);
    vbuf y = vbuf(uvec2(a.y));
    if (a.busy.v[p] == 0) {
        if (first >= a.outs) return;
        for (uint i = 0; i < ROWS; i++) {
            uint at = pair_row(pair, row0 + i) * a.ldw + first;
            y.v[at >> 2] = load4(a.w, at);
        }
        return;
    }
    uint from[LOADS];
    vec4 sum[ROWS];
    [[unroll]] for (uint i = 0; i < LOADS; i++) from[i] = p * PAIR + row0 + i * WIDTH + lane;
    [[unroll]] for (uint i = 0; i < ROWS; i++) sum[i] = vec4(0);
    for (uint k = 0; k < PAIR; k += 4) {
        vec4 x[LOADS], w[4];
        [[unroll]] for (uint i = 0; i < LOADS; i++) x[i] = load4(a.x, from[i] * a.ldx + k);
        [[unroll]] for (uint l = 0; l < 4; l++)
            w[l] = load4(a.w, pair_row(pair, k + l) * a.ldw + col);
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            [[unroll]] for (uint l = 0; l < 4; l++) sum[i] += s[l] * w[l];
        }
    }
    if (first >= a.outs) return;
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        y.v[(pair_row(pair, row0 + i) * a.ldw + first) >> 2] =
            sum[i] + load4(a.w, pair_row(pair, a.home.v[p * PAIR + row0 + i]) * a.ldw + first);
}
