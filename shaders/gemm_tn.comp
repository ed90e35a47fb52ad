#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "store.glsl"

vec4 x4(uint k, uint col)
{
    uint at = k * a.ldx + col;
    return UNALIGNED ? edge4(a.x, at, col, a.rows) : load4(a.x, at);
}

#if TILE_WIDTH == 1
#define STAGE_X_DOWN 0
#define STAGE_W_DOWN 0

vec4 stage_x(uint i, uint k0)
{
    uint k = k0 + i / 16, col = min(gl_WorkGroupID.y * 64 + i % 16 * 4, (a.rows - 1) & ~3u);
    return k < a.inner ? x4(k, col) : vec4(0);
}

vec4 stage_w(uint i, uint k0)
{
    uint k = k0 + i / 16, col = min(gl_WorkGroupID.x * 64 + i % 16 * 4, (a.outs - 1) & ~3u);
    return k < a.inner ? right4(k, col, a.outs) : vec4(0);
}
#include "shared_tile.glsl"

void main()
{
    if (a.shape == SHAPE_LOWER && gl_WorkGroupID.x > gl_WorkGroupID.y) return;
    shared_product(a.shape == SHAPE_LEFT ? gl_WorkGroupID.y * 64 : 0, a.inner);
}
#else
// x is read down its columns: of DEPTH rows of the inner index, lane i holds row i / QUADS, columns
// row0 + 4 * (i % QUADS) to + 3. DEPTH divides 4.
const uint QUADS = ROWS / 4, DEPTH = WIDTH / QUADS;

// A thread owns COLS neighbouring columns.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * COLS;
    uint group_first = gl_WorkGroupID.x * gl_WorkGroupSize.x * COLS;
    if (a.shape == SHAPE_LOWER && group_first > row0 + ROWS - 1) return;
    uint x_col = min(row0 + 4 * (lane % QUADS), (a.rows - 1) & ~3u), x_row = lane / QUADS;
    clear();
    // x^T is upper triangular where x is lower: nothing above the diagonal of x.
    for (uint k = a.shape == SHAPE_LEFT ? row0 : 0; k < a.inner; k += 4) {
        vec4 quad[4 / DEPTH];
        float w[4][COLS];
        EACH(t, 4 / DEPTH) {
            uint at = k + t * DEPTH + x_row;
            quad[t] = x4(min(at, a.inner - 1), x_col);
            if (at >= a.inner) quad[t] = vec4(0);
        }
        EACH(part, 4) EACH(q, COLS / 4) {
            uint row = min(k + part, a.inner - 1);
            vec4 v = right4(row, min(first + 4 * q, (a.outs - 1) & ~3u), a.outs);
            EACH(j, 4) w[part][4 * q + j] = v[j];
        }
        EACH(i, ROWS) EACH(part, 4) {
            float s = subgroupBroadcast(quad[part / DEPTH][i % 4], part % DEPTH * QUADS + i / 4);
            EACH(j, COLS) sum[i][j] += s * w[part][j];
        }
    }
    store(row0, first);
}
#endif
