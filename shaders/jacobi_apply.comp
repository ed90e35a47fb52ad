#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "pairs.glsl"

// As gemm_nn on gathered rows, plus the row each row was: a thread owns TILE_ROWS rows of a pair
// and four columns.
void main()
{
    uint p = gl_WorkGroupID.z, first = gl_GlobalInvocationID.x * 4, col = min(first, a.outs - 4);
    uvec2 pair = pair_blocks(p, a.meeting, a.blocks);
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    vbuf y = vbuf(uvec2(a.y));
    if (a.busy.v[p] == 0) {
        if (first >= a.outs) return;
        for (uint i = 0; i < ROWS; i++) {
            uint at = pair_row(pair, row0 + i) * a.ldw + first;
            y.v[at >> 2] = weight4(at);
        }
        return;
    }
    uint from[LOADS];
    vec4 sum[ROWS], x[LOADS];
#define START(i) from[i] = p * PAIR + row0 + i * WIDTH + lane;
#define CLEAR(i) sum[i] = vec4(0);
    EACH_LOAD(START) EACH_ROW(CLEAR)
    for (uint k = 0; k < PAIR; k += 4) {
#define LEFT(i) x[i] = left4(from[i], k);
        EACH_LOAD(LEFT)
        uint at = pair_row(pair, k) * a.ldw + col; // a multiple of four rows never straddles blocks
        vec4 w0 = weight4(at), w1 = weight4(at + a.ldw);
        vec4 w2 = weight4(at + 2 * a.ldw), w3 = weight4(at + 3 * a.ldw);
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
    if (first >= a.outs) return;
    uint homes = p * PAIR + row0;
#define STORE(i)                                                                 \
    y.v[(pair_row(pair, row0 + i) * a.ldw + first) >> 2] =                       \
        sum[i] + weight4(pair_row(pair, a.home.v[homes + i]) * a.ldw + first);
    EACH_ROW(STORE)
}
