#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// 2^60: squares of larger values overflow, and norms would quietly make zeros of them. Compared as
// bits, which order sizes as numbers do, infinity and then NaN behind all others: a compiler may
// take floats to be finite, words it may not.
const uint LIMIT = 0x5d800000u, NONE = 0xffffffffu;
shared uint counts[64], firsts[64];

void main()
{
    uint me = gl_LocalInvocationID.x, bad = 0, first = NONE;
    for (uint i = me; i < a.n; i += 64) {
        bool seen = (a.x.v[i * a.step_] & 0x7fffffffu) >= LIMIT;
        if (seen && bad++ == 0) first = i;
    }
    counts[me] = bad;
    firsts[me] = first;
    barrier();
    if (me != 0) return;
    for (uint i = 1; i < 64; i++) {
        bad += counts[i];
        first = min(first, firsts[i]);
    }
    if (bad == 0 || a.fault.v[FAULT_PLACE] != 0) return;
    a.fault.v[FAULT_PLACE] = a.place;
    a.fault.v[FAULT_COUNT] = bad;
    a.fault.v[FAULT_FIRST] = first;
}
