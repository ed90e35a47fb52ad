#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"

// y = alpha * sum + beta * r at one place.
void store(uint row, uint col, float sum)
{
    if (row >= a.rows || col >= a.outs) return;
    uint at = row * a.ldy + col;
    float y = a.alpha * sum;
    if (a.beta != 0) y += a.beta * a.r.v[at];
    a.y.v[at] = y;
}

// A thread owns four neighbouring columns.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint first = gl_GlobalInvocationID.x * 4, col = min(first, (a.outs - 1) & ~3u);
    uint from[LOADS];
    vec4 sum[ROWS], x[LOADS];
#define START(i) from[i] = min(row0 + i * WIDTH + lane, a.rows - 1);
#define CLEAR(i) sum[i] = vec4(0);
    EACH_LOAD(START) EACH_ROW(CLEAR)
    uint inner = a.shape == SHAPE_LEFT ? min(a.inner, row0 + ROWS) : a.inner;
    for (uint k = 0; k < inner; k += 4) {
        uint last = a.inner - 1;
#define LEFT(i) x[i] = left4(from[i], k);
        EACH_LOAD(LEFT)
        vec4 w0 = right4(k, col, a.outs), w1 = right4(min(k + 1, last), col, a.outs);
        vec4 w2 = right4(min(k + 2, last), col, a.outs), w3 = right4(min(k + 3, last), col, a.outs);
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
#define STORE(i)                             \
    store(row0 + i, first, sum[i].x);        \
    store(row0 + i, first + 1, sum[i].y);    \
    store(row0 + i, first + 2, sum[i].z);    \
    store(row0 + i, first + 3, sum[i].w);
    EACH_ROW(STORE)
}
