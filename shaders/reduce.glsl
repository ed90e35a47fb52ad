// Reductions over a workgroup of LOCAL threads, always in the same order: eight sums of eight, then
// their sum. The result depends on neither subgroup size nor timing. Two levels and not six, since
// barriers are dear on CPU devices. All threads call, all get the result.
#define LOCAL 64
layout(local_size_x = LOCAL) in;

shared float reduce_f[LOCAL], reduce_part[8];
shared uint reduce_u[LOCAL];

float reduce_sum(float x)
{
    uint i = gl_LocalInvocationID.x;
    reduce_f[i] = x;
    barrier();
    if (i < 8) {
        float sum = reduce_f[8 * i];
        for (uint j = 1; j < 8; j++) sum += reduce_f[8 * i + j];
        reduce_part[i] = sum;
    }
    barrier();
    float sum = reduce_part[0];
    for (uint j = 1; j < 8; j++) sum += reduce_part[j];
    return sum;
}

float reduce_max(float x)
{
    uint i = gl_LocalInvocationID.x;
    reduce_f[i] = x;
    barrier();
    if (i < 8) {
        float most = reduce_f[8 * i];
        for (uint j = 1; j < 8; j++) most = max(most, reduce_f[8 * i + j]);
        reduce_part[i] = most;
    }
    barrier();
    float most = reduce_part[0];
    for (uint j = 1; j < 8; j++) most = max(most, reduce_part[j]);
    return most;
}
