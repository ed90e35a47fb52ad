// As tile.glsl, for rows that are all aligned floats: no choice of dtype, which SwiftShader would
// carry through the inner loop.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
layout(local_size_x_id = 1) in;

const uint WIDTH = TILE_WIDTH, ROWS = TILE_ROWS, LOADS = TILE_ROWS / TILE_WIDTH;

// p[at .. at + 4), at a multiple of four.
vec4 load4(fbuf p, uint at)
{
    return vbuf(uvec2(p)).v[at >> 2];
}
