// Common to all operators: argument structs from ops.def, buffer types, helpers.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

layout(buffer_reference, std430, buffer_reference_align = 4) buffer fbuf { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer ubuf { uint v[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer vbuf { vec4 v[]; };

#define OP(name, access, arguments, x, y, z, variant, flops, bytes) \
    struct name##_args { arguments };
#include "ops.def"

layout(push_constant, std430) uniform Arguments { ARGS a; };

// What is stored, by most operators: 0, or at least 2^-63. So no product of two such values is
// denormal, which some drivers keep and some flush; see docs/numerics.md.
const float CALM = 1.0842021724855044e-19;

float calm(float x)
{
    return abs(x) < CALM ? 0.0 : x;
}

vec4 calm(vec4 x)
{
    return mix(x, vec4(0), lessThan(abs(x), vec4(CALM)));
}

// A thread's share of n elements: for (uint i = FIRST; i < n; i += STRIDE).
#define FIRST (gl_GlobalInvocationID.x)
#define STRIDE (gl_NumWorkGroups.x * gl_WorkGroupSize.x)
