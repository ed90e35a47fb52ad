#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "pairs.glsl"

// As gemm_nt on gathered rows: a thread owns TILE_ROWS x TILE_COLS of a pair's 32 x 32 dot products, the
// columns first, first + local, first + 2 local ...
void main()
{
    uvec2 pair = pair_blocks(gl_WorkGroupID.z, a.meeting, a.blocks);
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint apart = gl_WorkGroupSize.x, first = gl_LocalInvocationID.x;
    uint from[LOADS], col[COLS];
    EACH(i, LOADS) from[i] = pair_row(pair, row0 + i * WIDTH + lane);
    EACH(j, COLS) col[j] = pair_row(pair, first + j * apart);
    clear();
    for (uint k = 0; k < a.inner; k += 4) {
        vec4 w[COLS];
        EACH(i, LOADS) x[i] = left4(from[i], k);
        EACH(j, COLS) w[j] = right4(col[j], k, a.inner);
        EACH(i, ROWS) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            EACH(j, COLS) {
                sum[i][j] += s.x * w[j].x;
                sum[i][j] += s.y * w[j].y;
                sum[i][j] += s.z * w[j].z;
                sum[i][j] += s.w * w[j].w;
            }
        }
    }
    uint base = gl_WorkGroupID.z * PAIR * PAIR + row0 * PAIR + first;
    EACH(i, ROWS) EACH(j, COLS) a.y.v[base + i * PAIR + j * apart] = sum[i][j];
}
