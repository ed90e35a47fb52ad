// Common to the attention operators: one workgroup a row and head, its items (keys, or rows that see
// a key) in chunks of ITEMS. What is short is summed by every thread for itself, in order, instead
// of by a tree: barriers are dear on CPU devices. No result depends on the number of threads.
// dim is a multiple of 4, at most 256.
layout(local_size_x_id = 0) in;
#include "wide.glsl"
const uint ITEMS = 256;
const uint SHARES = 4; // a weighted sum is made of as many, of every fourth item each
shared float score_of[ITEMS], weight[ITEMS];
shared vec4 part[256];

// for (uint i = ME; i < n; i += LOCAL): a thread's share.
#define ME gl_LocalInvocationID.x
#define LOCAL gl_WorkGroupSize.x

uint quads()
{
    return a.dim / 4;
}

// Components 4 i .. of x from element `at` on (a multiple of 4).
vec4 four(fbuf x, uint at, uint i)
{
    return load4(x, at + 4 * i);
}

// x . y in the order of the components, added to sum.
float dot4(float sum, vec4 x, vec4 y)
{
    sum += x.x * y.x;
    sum += x.y * y.y;
    sum += x.z * y.z;
    return sum + x.w * y.w;
}

float dot_at(fbuf x, uint x_at, fbuf y, uint y_at)
{
    float sum = 0;
    for (uint d = 0; d < quads(); d++) sum = dot4(sum, four(x, x_at, d), four(y, y_at, d));
    return sum;
}

// The sum of the shares of components 4 quad ..
vec4 shares_sum(uint quad)
{
    vec4 sum = part[quad];
    for (uint s = 1; s < SHARES; s++) sum += part[s * quads() + quad];
    return sum;
}
