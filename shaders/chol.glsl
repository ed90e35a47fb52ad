// A diagonal block of a Cholesky factor in shared memory, one thread a row, and its inverse.
const uint SIZE = 64;
shared float l[SIZE * SIZE];

uint me = gl_LocalInvocationID.x;

// Column `me` of the inverse by forward substitution; the thread reads back only what it wrote.
void invert()
{
    for (uint i = 0; i < SIZE; i++) {
        float x = i == me ? 1.0 : 0.0;
        if (i < a.size && me < a.size)
            for (uint k = me; k < i; k++) x -= l[i * SIZE + k] * a.inverse.v[k * SIZE + me];
        a.inverse.v[i * SIZE + me] = i < me || i >= a.size || me >= a.size ? 0.0
                                                                        : div(x, l[i * SIZE + i]);
    }
}
