// Products of 16 x 16 matrices of halves with sums in f32, as one type and a few macros: on matrix
// units (VK_KHR_cooperative_matrix), or, with EMULATE, by plain loops of 16 threads, so that
// everything around them can be tested on any device.
// Matrices stand in `memory`, 8 halves or 4 floats an element; `at` is where row 0 begins. A right
// one is stored turned: its columns are rows there. A team is the threads that share a sum.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#ifdef EMULATE
#define TEAM (gl_LocalInvocationIndex / 16)
#define SUBGROUPS gl_NumSubgroups
#define UNROLL [[dont_unroll]] // compilers for CPUs take minutes else
#define LEFT uint // where it stands
#define RIGHT uint
#define SUM Sum
struct Sum {
    float v[16]; // of column lane()
};

uint lane()
{
    return gl_LocalInvocationIndex % 16;
}

#define LOAD_LEFT(matrix, at) matrix = at
#define LOAD_RIGHT(matrix, at) matrix = at
#define SUM_ZERO Sum(float[16](0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

// Four halves, in order. A device may flush denormal ones: this one does.
vec4 unpack4(uvec2 words)
{
    vec4 v = vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
    return mix(v, vec4(0), lessThan(abs(v), vec4(6.103515625e-5))); // 2^-14
}

void sum_multiply(inout Sum sum, uint left, uint right)
{
    UNROLL for (uint k = 0; k < 2; k++) {
        uvec4 words = memory[right + lane() * PITCH + k];
        vec4 w = unpack4(words.xy), w4 = unpack4(words.zw);
        UNROLL for (uint row = 0; row < 16; row++) {
            words = memory[left + row * PITCH + k];
            sum.v[row] += dot(unpack4(words.xy), w) + dot(unpack4(words.zw), w4);
        }
    }
}
#define SUM_MULTIPLY(sum, left, right) sum_multiply(sum, left, right)

void sum_add(inout Sum sum, Sum high, Sum low, float low_factor, float factor)
{
    UNROLL for (uint row = 0; row < 16; row++)
        sum.v[row] += (low.v[row] * low_factor + high.v[row]) * factor;
}
#define SUM_ADD(sum, high, low, low_factor, factor) sum_add(sum, high, low, low_factor, factor)

void sum_store(Sum sum, uint at)
{
    UNROLL for (uint row = 0; row < 16; row++)
        memory[at + row * SUM_PITCH + lane() / 4][lane() % 4] = floatBitsToUint(sum.v[row]);
}
#define SUM_STORE(sum, at) sum_store(sum, at)
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#define TEAM gl_SubgroupID
#define SUBGROUPS 4
#define UNROLL [[unroll]] // matrices must not be indexed at run time
#define LEFT coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define RIGHT coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define SUM coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>
#define LOAD_LEFT(matrix, at) \
    coopMatLoad(matrix, memory, at, PITCH, gl_CooperativeMatrixLayoutRowMajor)
#define LOAD_RIGHT(matrix, at) \
    coopMatLoad(matrix, memory, at, PITCH, gl_CooperativeMatrixLayoutColumnMajor)
#define SUM_ZERO SUM(0)
#define SUM_MULTIPLY(sum, left, right) sum = coopMatMulAdd(left, right, sum)
#define SUM_ADD(sum, high, low, low_factor, factor) \
    sum = sum + (low * (low_factor) + high) * (factor)
#define SUM_STORE(sum, at) \
    coopMatStore(sum, memory, at, SUM_PITCH, gl_CooperativeMatrixLayoutRowMajor)
#endif
