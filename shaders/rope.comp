#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;
#include "wide.glsl"

// Two pairs of a head a thread. Values of v are turned by no angle; the choice between q, k and v is
// one of addresses, since CPU devices run every branch.
void main()
{
    uint quads = a.dim / 4, all = a.heads + a.kv_heads + a.v_heads;
    for (uint i = FIRST; i < a.rows * all * quads; i += STRIDE) {
        uint quad = i % quads, head = i / quads % all, row = i / quads / all;
        bool is_q = head < a.heads, is_v = head >= a.heads + a.kv_heads;
        uint own = is_q ? head : is_v ? head - a.heads - a.kv_heads : head - a.heads;
        uint heads = is_q ? a.heads : a.kv_heads, slot = is_q ? row : a.slot.v[row];
        uvec2 x = is_q ? uvec2(a.q) : is_v ? uvec2(a.v) : uvec2(a.k);
        uvec2 y = is_q ? uvec2(a.q_out) : is_v ? uvec2(a.v_out) : uvec2(a.k_out);
        uint from = (row * heads + own) * a.dim, to = (slot * heads + own) * a.dim;
        uint apart = a.interleaved != 0 ? 2 : a.dim / 2; // from first to second two values
        uint at = a.interleaved != 0 ? 4 * quad : 2 * quad;
        vec2 low = uintBitsToFloat(load2(ubuf(x), from + at));
        vec2 high = uintBitsToFloat(load2(ubuf(x), from + at + apart));
        vec4 angle = load4(a.table, a.pos.v[row] * a.dim + 4 * quad); // cos, sin, cos, sin
        if (is_v) angle = vec4(1, 0, 1, 0);
        vec2 c = angle.xz, s = a.sign * angle.yw;
        vec2 first = a.interleaved != 0 ? vec2(low.x, high.x) : low;
        vec2 second = a.interleaved != 0 ? vec2(low.y, high.y) : high;
        vec2 turned = first * c - second * s, other = first * s + second * c;
        low = a.interleaved != 0 ? vec2(turned.x, other.x) : turned;
        high = a.interleaved != 0 ? vec2(turned.y, other.y) : other;
        store2(fbuf(y), to + at, calm(vec4(low, 0, 0)).xy);
        store2(fbuf(y), to + at + apart, calm(vec4(high, 0, 0)).xy);
    }
}
