#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"
#include "store.glsl"

#if TILE_WIDTH == 1
#define STAGE_X_DOWN 1
#define STAGE_W_DOWN 1

vec4 stage_x(uint i, uint k0)
{
    uint k = k0 + i % 4 * 4, row = min(gl_WorkGroupID.y * 64 + i / 4, a.rows - 1);
    return k < a.inner ? left4(row, k) : vec4(0);
}

vec4 stage_w(uint i, uint k0)
{
    uint k = k0 + i % 4 * 4, col = min(gl_WorkGroupID.x * 64 + i / 4, a.outs - 1);
    return k < a.inner ? right4(col, k, a.inner) : vec4(0);
}
#include "shared_tile.glsl"

void main()
{
    if (a.shape == SHAPE_LOWER && gl_WorkGroupID.x > gl_WorkGroupID.y) return;
    shared_product(0, a.inner);
}
#else
// A step loads 16 packed weights of a row at once, or four others.
const bool PACKED = WEIGHT >= Q8_0;
const uint STEP = PACKED ? 16 : 4;

// A thread owns COLS neighbouring columns.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * COLS;
    uint group_first = gl_WorkGroupID.x * gl_WorkGroupSize.x * COLS;
    if (a.shape == SHAPE_LOWER && group_first > row0 + ROWS - 1) return;
    uint from[LOADS], col[COLS];
    EACH(i, LOADS) from[i] = min(row0 + i * WIDTH + lane, a.rows - 1);
    EACH(j, COLS) col[j] = min(first + j, a.outs - 1);
    clear();
    for (uint k0 = 0; k0 < a.inner; k0 += STEP) {
        uvec4 quants[COLS];
        vec2 scale[COLS];
        if (PACKED) {
            EACH(j, COLS) {
                quants[j] = quants16(col[j] * a.ldw + k0);
                scale[j] = scale_at(col[j] * a.ldw + k0);
            }
        }
        EACH(part, STEP / 4) {
            uint k = k0 + 4 * part;
            vec4 w[COLS];
            EACH(i, LOADS) x[i] = left4(from[i], k);
            EACH(j, COLS) w[j] = PACKED ? value4(quants[j][part], scale[j]) : right4(col[j], k, a.inner);
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
    }
    store(row0, first);
}
#endif
