// Common to the attention operators: one workgroup a row and head, keys in chunks of KEYS, four a
// thread. Barriers are dear on CPU devices, so what is short is summed by every thread for itself,
// in order, instead of by a tree. dim is a multiple of 4, at most 256.
#define LOCAL 64
layout(local_size_x = LOCAL) in;
const uint KEYS = LOCAL * 4;
shared vec4 part[LOCAL];

// Components 4 i .. of x from element `at` on (a multiple of 4).
vec4 four(fbuf x, uint at, uint i)
{
    return vbuf(uvec2(x)).v[(at >> 2) + i];
}

// x . y in the order of the components, added to sum.
float dot4(float sum, vec4 x, vec4 y)
{
    sum += x.x * y.x;
    sum += x.y * y.y;
    sum += x.z * y.z;
    return sum + x.w * y.w;
}

// Each group of threads sums over its share of the keys, a thread owning four components.
uint quads()
{
    return a.dim / 4;
}

uint groups()
{
    return LOCAL / quads();
}

// Sum of the groups' parts in order; right in the threads me < quads().
vec4 groups_sum(vec4 mine)
{
    uint me = gl_LocalInvocationID.x;
    part[me] = mine;
    barrier();
    vec4 sum = vec4(0);
    if (me < quads())
        for (uint g = 0; g < groups(); g++) sum += part[g * quads() + me];
    return sum;
}
