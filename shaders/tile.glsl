// The register tile of the matrix products: a thread owns TILE_ROWS x TILE_COLS results. Values of
// x are loaded once per TILE_WIDTH lanes, one row a lane, and spread by subgroupBroadcast; no shared
// memory. Every result is one sum in the order of the inner index, whatever the tile.
//
// Measured on CPU drivers: every load is a gather, lane by lane, and costs as much for 8 bytes as
// for 4, so loads are 64-bit where the device has such integers; a multiply is as dear as an add.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;

// VARIANT: dtype, plus 16 if rows are not 16-byte aligned
const bool UNALIGNED = (VARIANT & 16) != 0;
// Width 1 is the tile of shared_tile.glsl.
const bool SHARED = TILE_WIDTH == 1;
const uint WIDTH = TILE_WIDTH, ROWS = SHARED ? 4 : TILE_ROWS, COLS = SHARED ? 4 : TILE_COLS;
const uint LOADS = (ROWS + WIDTH - 1) / WIDTH;
#include "weights.glsl"

#define EACH(i, n) [[unroll]] for (uint i = 0; i < n; i++)

// Results of a thread, and what a step of four along the inner index adds to row i, column j.
float sum[ROWS][COLS];
vec4 x[LOADS]; // of the step, row i in lane i % WIDTH of x[i / WIDTH]

void clear()
{
    EACH(i, ROWS) EACH(j, COLS) sum[i][j] = 0;
}

// x[at .. at + 4), of which element i stands for column col + i; zero from `limit` on. Columns past
// it are read at the last one before: loads under conditions cost SwiftShader's compiler minutes.
vec4 edge4(fbuf from, uint at, uint col, uint limit)
{
    uint more = limit - 1 - min(col, limit - 1), first = at - (col - min(col, limit - 1));
    vec4 v = vec4(from.v[first], from.v[first + min(1, more)], from.v[first + min(2, more)],
                  from.v[first + min(3, more)]);
    return mix(vec4(0), v, lessThan(uvec4(col, col + 1, col + 2, col + 3), uvec4(limit)));
}

// x[row, k .. k + 4), zero past `inner`.
vec4 left4(uint row, uint k)
{
    uint at = row * a.ldx + k;
    return UNALIGNED ? edge4(a.x, at, k, a.inner) : load4(a.x, at);
}

// w[row, col .. col + 4), zero past `limit`.
vec4 right4(uint row, uint col, uint limit)
{
    uint at = row * a.ldw + col;
    if (!UNALIGNED || WEIGHT != F32) return weight4(at); // packed rows are whole blocks
    return edge4(fbuf(uvec2(a.w)), at, col, limit);
}
