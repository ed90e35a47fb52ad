// Reductions over a workgroup of LOCAL threads, always as the same tree: the result depends on
// neither subgroup size nor timing. All threads call, all get the result.
#define LOCAL 64
layout(local_size_x = LOCAL) in;

shared float reduce_f[LOCAL];
shared uint reduce_u[LOCAL];

float reduce_sum(float x)
{
    uint i = gl_LocalInvocationID.x;
    reduce_f[i] = x;
    barrier();
    for (uint half_ = LOCAL / 2; half_ > 0; half_ /= 2) {
        if (i < half_) reduce_f[i] += reduce_f[i + half_];
        barrier();
    }
    float sum = reduce_f[0];
    barrier();
    return sum;
}

float reduce_max(float x)
{
    uint i = gl_LocalInvocationID.x;
    reduce_f[i] = x;
    barrier();
    for (uint half_ = LOCAL / 2; half_ > 0; half_ /= 2) {
        if (i < half_) reduce_f[i] = max(reduce_f[i], reduce_f[i + half_]);
        barrier();
    }
    float largest = reduce_f[0];
    barrier();
    return largest;
}
