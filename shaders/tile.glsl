// The register tile of the matrix products: a thread owns TILE_ROWS x 4 results. Values of x are
// loaded once per TILE_WIDTH lanes, one row a lane, and spread by subgroupBroadcast; no shared
// memory. Every result is one sum in the order of the inner index, whatever the tile.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
layout(constant_id = 0) const uint VARIANT = 0; // dtype, plus 16 if rows are not 16-byte aligned
layout(local_size_x_id = 1) in;

const uint WEIGHT = VARIANT & 15;
const bool UNALIGNED = (VARIANT & 16) != 0;
const uint WIDTH = TILE_WIDTH, ROWS = TILE_ROWS, LOADS = TILE_ROWS / TILE_WIDTH;
#include "weights.glsl"

// x[row, k .. k + 4), zero past `inner`.
vec4 left4(uint row, uint k)
{
    uint at = row * a.ldx + k;
    if (!UNALIGNED) return vbuf(uvec2(a.x)).v[at >> 2];
    vec4 x = vec4(0);
    for (uint i = 0; i < 4; i++)
        if (k + i < a.inner) x[i] = a.x.v[at + i];
    return x;
}

// w[row, col .. col + 4), zero past `limit`.
vec4 right4(uint row, uint col, uint limit)
{
    uint at = row * a.ldw + col;
    if (!UNALIGNED) return weight4(at);
    vec4 w = vec4(0);
    for (uint i = 0; i < 4; i++)
        if (col + i < limit) w[i] = uintBitsToFloat(a.w.v[at + i]);
    return w;
}
