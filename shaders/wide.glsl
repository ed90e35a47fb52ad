// Loads and stores of 16 and 8 bytes. A CPU driver moves every lane's words one by one, 64 bits as
// fast as 32; BUILDs of width 8 are for devices that have 64-bit integers.
#if TILE_WIDTH == 8
#define WIDE
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
layout(buffer_reference, std430, buffer_reference_align = 16) buffer long2buf { u64vec2 v[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer longbuf { uint64_t v[]; };

// x[at .. at + 4), at a multiple of 4 and x on 16 bytes.
vec4 load4(fbuf x, uint at)
{
    u64vec2 u = long2buf(uvec2(x)).v[at >> 2];
    return uintBitsToFloat(uvec4(unpackUint2x32(u.x), unpackUint2x32(u.y)));
}

uvec2 load2(ubuf x, uint word)
{
    return unpackUint2x32(longbuf(uvec2(x)).v[word >> 1]);
}

void store4(fbuf y, uint at, vec4 v)
{
    uvec4 u = floatBitsToUint(v);
    long2buf(uvec2(y)).v[at >> 2] = u64vec2(packUint2x32(u.xy), packUint2x32(u.zw));
}

void store2(fbuf y, uint at, vec2 v)
{
    longbuf(uvec2(y)).v[at >> 1] = packUint2x32(floatBitsToUint(v));
}
#else
vec4 load4(fbuf x, uint at)
{
    return vbuf(uvec2(x)).v[at >> 2];
}

uvec2 load2(ubuf x, uint word)
{
    return uvec2(x.v[word], x.v[word + 1]);
}

void store4(fbuf y, uint at, vec4 v)
{
    vbuf(uvec2(y)).v[at >> 2] = v;
}

void store2(fbuf y, uint at, vec2 v)
{
    y.v[at] = v.x;
    y.v[at + 1] = v.y;
}
#endif
