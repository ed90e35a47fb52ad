// Log of the sum of exponentials of one row, safe against overflow. After reduce.glsl.
float row_lse(fbuf x, uint base, uint cols)
{
    float top = -3.0e38, sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < cols; i += LOCAL) top = max(top, x.v[base + i]);
    top = reduce_max(top);
    for (uint i = gl_LocalInvocationID.x; i < cols; i += LOCAL) sum += exp(x.v[base + i] - top);
    return top + log(reduce_sum(sum));
}
