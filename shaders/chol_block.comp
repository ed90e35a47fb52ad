#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;
#include "chol.glsl"

// Right-looking, a column at a time; thread i owns row i. A bad pivot is reported once and
// replaced, so that the rest stays finite.
void factor()
{
    for (uint j = 0; j < a.size; j++) {
        float pivot = l[j * SIZE + j], entry = a.diagonal.v[(a.first + j) * (a.ldl + 1)];
        entry += a.state.v[0];
        barrier();
        bool good = pivot > 2.4e-7 * entry && pivot < 3.4e38; // 4 eps: NaN fails too
        if (me == 0 && !good && a.state.v[1] == 0) {
            a.state.v[1] = float(int(a.first + j + 1));
            a.state.v[2] = pivot;
            a.state.v[3] = entry;
        }
        float root = good ? sqrt(pivot) : 1.0;
        if (me == j) l[j * SIZE + j] = root;
        if (me > j && me < a.size) l[me * SIZE + j] = div(l[me * SIZE + j], root);
        barrier();
        if (me > j && me < a.size)
            for (uint k = j + 1; k <= me; k++)
                l[me * SIZE + k] -= l[me * SIZE + j] * l[k * SIZE + j];
        barrier();
    }
}

void main()
{
    if (me < a.size) {
        for (uint j = 0; j <= me; j++) l[me * SIZE + j] = a.block.v[me * SIZE + j];
        l[me * SIZE + me] += a.state.v[0];
    }
    barrier();
    factor();
    if (me < a.size)
        for (uint j = 0; j <= me; j++) a.lower.v[me * a.ldl + j] = l[me * SIZE + j];
    invert();
}
