#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "pairs.glsl"

// As gemm_nt on gathered rows: a thread owns TILE_ROWS x 4 of a pair's 32 x 32 dot products, the
// columns first, first + local, first + 2 local, first + 3 local.
void main()
{
    uvec2 pair = pair_blocks(gl_WorkGroupID.z, a.meeting, a.blocks);
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint step_ = gl_WorkGroupSize.x, first = gl_LocalInvocationID.x;
    uint from[LOADS], col[4];
    vec4 sum[ROWS], x[LOADS], w[4];
#define START(i) from[i] = pair_row(pair, row0 + i * WIDTH + lane);
#define COLUMN(j) col[j] = pair_row(pair, first + j * step_);
#define CLEAR(i) sum[i] = vec4(0);
    EACH_LOAD(START) EACH4(COLUMN, 0) EACH_ROW(CLEAR)
    for (uint k = 0; k < a.inner; k += 4) {
#define LEFT(i) x[i] = left4(from[i], k);
#define RIGHT(j) w[j] = right4(col[j], k, a.inner);
        EACH_LOAD(LEFT) EACH4(RIGHT, 0)
        vec4 w0 = vec4(w[0].x, w[1].x, w[2].x, w[3].x), w1 = vec4(w[0].y, w[1].y, w[2].y, w[3].y);
        vec4 w2 = vec4(w[0].z, w[1].z, w[2].z, w[3].z), w3 = vec4(w[0].w, w[1].w, w[2].w, w[3].w);
#define ADD(i)                                                     \
    {                                                              \
        vec4 s = subgroupBroadcast(x[(i) / WIDTH], (i) % WIDTH);   \
        sum[i] += s.x * w0;                                        \
        sum[i] += s.y * w1;                                        \
        sum[i] += s.z * w2;                                        \
        sum[i] += s.w * w3;                                        \
    }
        EACH_ROW(ADD)
    }
    uint base = gl_WorkGroupID.z * PAIR * PAIR + row0 * PAIR + first;
#define STORE(i)                                           \
    a.y.v[base + i * PAIR] = sum[i].x;                     \
    a.y.v[base + i * PAIR + step_] = sum[i].y;             \
    a.y.v[base + i * PAIR + 2 * step_] = sum[i].z;         \
    a.y.v[base + i * PAIR + 3 * step_] = sum[i].w;
    EACH_ROW(STORE)
}
