// The register tile of the matrix products: a thread owns TILE_ROWS x 4 results. Values of x are
// loaded once per TILE_WIDTH lanes, one row a lane, and spread by subgroupBroadcast; no shared
// memory. Every result is one sum in the order of the inner index, whatever the tile.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
layout(local_size_x_id = 0) in;

// VARIANT: dtype, plus 16 if rows are not 16-byte aligned
const uint WEIGHT = VARIANT & 15;
const bool UNALIGNED = (VARIANT & 16) != 0;
const uint WIDTH = TILE_WIDTH, ROWS = TILE_ROWS, LOADS = TILE_ROWS / TILE_WIDTH;

// Loops over the tile are written out by the preprocessor: with literal indices the tile stays in
// registers on every driver (SwiftShader does not unroll, and is 50 times slower without).
#define EACH4(f, b) f((b)) f((b + 1)) f((b + 2)) f((b + 3))
#if TILE_ROWS == 16
#define EACH_ROW(f) EACH4(f, 0) EACH4(f, 4) EACH4(f, 8) EACH4(f, 12)
#elif TILE_ROWS == 4
#define EACH_ROW(f) EACH4(f, 0)
#endif
#if TILE_ROWS / TILE_WIDTH == 4
#define EACH_LOAD(f) EACH4(f, 0)
#elif TILE_ROWS / TILE_WIDTH == 2
#define EACH_LOAD(f) f(0) f(1)
#else
#define EACH_LOAD(f) f(0)
#endif
#include "weights.glsl"

// x[at .. at + 4), of which element i stands for column col + i; zero from `limit` on. Columns past
// it are read at the last one before: loads under conditions cost SwiftShader's compiler minutes.
vec4 edge4(fbuf x, uint at, uint col, uint limit)
{
    uint more = limit - 1 - min(col, limit - 1), first = at - (col - min(col, limit - 1));
    vec4 v = vec4(x.v[first], x.v[first + min(1, more)], x.v[first + min(2, more)],
                  x.v[first + min(3, more)]);
    return mix(vec4(0), v, lessThan(uvec4(col, col + 1, col + 2, col + 3), uvec4(limit)));
}

// x[row, k .. k + 4), zero past `inner`.
vec4 left4(uint row, uint k)
{
    uint at = row * a.ldx + k;
    if (!UNALIGNED) return vbuf(uvec2(a.x)).v[at >> 2];
    return edge4(a.x, at, k, a.inner);
}

// w[row, col .. col + 4), zero past `limit`.
vec4 right4(uint row, uint col, uint limit)
{
    uint at = row * a.ldw + col;
    if (!UNALIGNED || WEIGHT != F32) return weight4(at); // packed rows are whole blocks
    return edge4(fbuf(uvec2(a.w)), at, col, limit);
}
