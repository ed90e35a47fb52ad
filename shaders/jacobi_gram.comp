#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "rows_tile.glsl"
#include "pairs.glsl"

// As gemm_nt on gathered rows: a thread owns TILE_ROWS x 4 of a pair's 32 x 32 dot products.
void main()
{
    uvec2 pair = pair_blocks(gl_WorkGroupID.z, a.meeting, a.blocks);
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint step_ = gl_WorkGroupSize.x, first = gl_LocalInvocationID.x;
    uint from[LOADS], col[4];
    vec4 sum[ROWS];
    [[unroll]] for (uint i = 0; i < LOADS; i++) from[i] = pair_row(pair, row0 + i * WIDTH + lane);
    [[unroll]] for (uint j = 0; j < 4; j++) col[j] = pair_row(pair, first + j * step_);
    [[unroll]] for (uint i = 0; i < ROWS; i++) sum[i] = vec4(0);
    for (uint k = 0; k < a.inner; k += 4) {
        vec4 x[LOADS], w[4];
        [[unroll]] for (uint i = 0; i < LOADS; i++) x[i] = load4(a.x, from[i] * a.ldx + k);
        [[unroll]] for (uint j = 0; j < 4; j++) w[j] = load4(a.w, col[j] * a.ldw + k);
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            [[unroll]] for (uint l = 0; l < 4; l++)
                sum[i] += s[l] * vec4(w[0][l], w[1][l], w[2][l], w[3][l]);
        }
    }
    uint base = gl_WorkGroupID.z * PAIR * PAIR;
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < 4; j++)
            a.y.v[base + (row0 + i) * PAIR + first + j * step_] = sum[i][j];
}
