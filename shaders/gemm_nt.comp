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

// A thread owns the columns first, first + local, first + 2 local, first + 3 local.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint step_ = gl_WorkGroupSize.x;
    uint first = gl_WorkGroupID.x * step_ * 4 + gl_LocalInvocationID.x;
    if (a.shape == SHAPE_LOWER && gl_WorkGroupID.x * step_ * 4 > row0 + ROWS - 1) return;
    uint from[LOADS], col[4];
    vec4 sum[ROWS], x[LOADS], w[4];
#define START(i) from[i] = min(row0 + i * WIDTH + lane, a.rows - 1);
#define COLUMN(j) col[j] = min(first + j * step_, a.outs - 1);
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
#define STORE(i)                                       \
    store(row0 + i, first, sum[i].x);                  \
    store(row0 + i, first + step_, sum[i].y);          \
    store(row0 + i, first + 2 * step_, sum[i].z);      \
    store(row0 + i, first + 3 * step_, sum[i].w);
    EACH_ROW(STORE)
}
