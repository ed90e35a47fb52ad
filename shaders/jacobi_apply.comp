#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "pairs.glsl"

// As gemm_nn on gathered rows, plus the row each row was: a thread owns ROWS rows of a pair
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
    EACH(i, LOADS) from[i] = p * PAIR + row0 + i * WIDTH + lane;
    clear();
    for (uint k = 0; k < PAIR; k += 4) {
        EACH(i, LOADS) x[i] = left4(from[i], k);
        uint at = pair_row(pair, k) * a.ldw + col; // a multiple of four rows never straddles blocks
        vec4 w[4];
        EACH(part, 4) w[part] = weight4(at + part * a.ldw);
        EACH(i, ROWS) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            EACH(j, 4) EACH(part, 4) sum[i][j] += s[part] * w[part][j];
        }
    }
    if (first >= a.outs) return;
    uint homes = p * PAIR + row0;
    EACH(i, ROWS) {
        vec4 v = vec4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
        y.v[(pair_row(pair, row0 + i) * a.ldw + first) >> 2] =
            calm(v + weight4(pair_row(pair, a.home.v[homes + i]) * a.ldw + first));
    }
}
