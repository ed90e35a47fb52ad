#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"

// As gemm_nt, on matrix units that multiply halves (11 significant bits) and add in f32. Four teams
// of threads (subgroups) share a tile of y; x and w come through shared memory in steps of STEP.
//
// No accuracy is given away: each number is two halves, x s = high + low / 4096, s a power of two,
// and xh wh + (xl wh + xh wl) / 4096 is summed, xl wl / 4096^2 left out. s brings P, the largest of
// the tile in this step (at least 2^-49), to [2^14, 2^15), so that nothing overflows while
// P_x P_w < 2^155. What would be no normal half as `high` is all in `low`: a device may flush
// denormals. Rounding to 11 bits is done here, by bits: devices' conversions round as they like
// (AMD's towards zero). With u = 2^-24:
//   |x s - high - low / 4096| <= (2 u |x| + 2^-40 P) s
//   |xl wl| / 4096^2 <= (4 u |x w| + 2^-39 (|x| P_w + |w| P_x) + 2^-56 P_x P_w) s s'
// where the last two terms are of numbers without a high half, under 2^-28 P. F16 and BF16 weights
// are their high half alone, to 2^-28 P. Where an addition of the matrix units errs by 2 u at most,
// a sum over STEP errs by 2 u STEP, and the whole y by
//   (8 + 2 STEP + 2 + inner / STEP) u sum |x w| + sum (2^-38 (|x| P_w + |w| P_x) + 2^-56 P_x P_w)
// (2^-28 |x| P_w with F16 and BF16), as against inner u sum |x w| of gemm_nt.
layout(local_size_x_id = 0) in;
#include "weights.glsl"

// Teams down and across the tile, and 16 x 16 sums of each down; two across.
#if TILE_ROWS == 64
const uint TEAMS_DOWN = 2, DOWN = 2;
#else
const uint TEAMS_DOWN = 1, DOWN = 1;
#endif
const uint TEAMS_ACROSS = 4 / TEAMS_DOWN, ACROSS = 2;
const uint ROWS = 16 * TEAMS_DOWN * DOWN, COLS = 16 * TEAMS_ACROSS * ACROSS;
const uint STEP = 32, OCTETS = STEP / 8;
// One element more than a row needs, so that rows do not begin in the same bank.
const uint PITCH = OCTETS + 1, SUM_PITCH = COLS / 4 + 1;
const bool EXACT = WEIGHT == F16 || WEIGHT == BF16; // w has no low halves
const uint X_HIGH = 0, X_LOW = ROWS * PITCH, W_HIGH = 2 * ROWS * PITCH,
           W_LOW = W_HIGH + COLS * PITCH, STAGED = EXACT ? W_LOW : W_LOW + COLS * PITCH;
shared uvec4 memory[max(STAGED, ROWS * SUM_PITCH)];
shared uvec2 peaks[16]; // of a subgroup's x and w, as bits, which are ordered as the numbers
#include "coop.glsl"

const uint LOCAL = gl_WorkGroupSize.x;
// Each thread brings every LOCAL-th octet (8 neighbours of a row) of the tiles of x and w.
const uint X_OCTETS = ROWS * OCTETS, X_LOADS = (X_OCTETS + LOCAL - 1) / LOCAL;
const uint W_OCTETS = COLS * OCTETS, W_LOADS = (W_OCTETS + LOCAL - 1) / LOCAL;
vec4 xs[2 * X_LOADS], ws[2 * W_LOADS];

uint me = gl_LocalInvocationIndex, row0 = gl_WorkGroupID.y * ROWS, col0 = gl_WorkGroupID.x * COLS;

// The step that begins at inner index k0 into registers; zero outside of x and w.
void fetch(uint k0)
{
    [[unroll]] for (uint i = 0; i < X_LOADS; i++) {
        uint item = me + i * LOCAL, row = row0 + item / OCTETS, k = k0 + item % OCTETS * 8;
        bool inside = item < X_OCTETS && row < a.rows;
        uint at = (row * a.ldx + k) >> 2;
        xs[2 * i] = vec4(0);
        xs[2 * i + 1] = vec4(0);
        if (inside && k < a.inner) xs[2 * i] = vbuf(uvec2(a.x)).v[at];
        if (inside && k + 4 < a.inner) xs[2 * i + 1] = vbuf(uvec2(a.x)).v[at + 1];
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; i++) {
        uint item = me + i * LOCAL, col = col0 + item / OCTETS, k = k0 + item % OCTETS * 8;
        bool inside = item < W_OCTETS && col < a.outs;
        uint at = col * a.ldw + k;
        ws[2 * i] = vec4(0);
        ws[2 * i + 1] = vec4(0);
        if (inside && k < a.inner) ws[2 * i] = weight4(at);
        if (inside && k + 4 < a.inner) ws[2 * i + 1] = weight4(at + 4);
    }
}

// Bits of the largest finite |v|.
uint peak(vec4 v)
{
    uvec4 bits = floatBitsToUint(v) & 0x7fffffffu;
    bits = mix(bits, uvec4(0), greaterThanEqual(bits, uvec4(0x7f800000u)));
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

void tell_peaks()
{
    uvec2 p = uvec2(0);
    [[unroll]] for (uint i = 0; i < 2 * X_LOADS; i++) p.x = max(p.x, peak(xs[i]));
    [[unroll]] for (uint i = 0; i < 2 * W_LOADS; i++) p.y = max(p.y, peak(ws[i]));
    p = subgroupMax(p);
    if (subgroupElect()) peaks[gl_SubgroupID] = p;
}

// v to 11 significant bits. An overflow of bits can make a NaN a zero, but then low is NaN.
vec4 round11(vec4 v)
{
    return uintBitsToFloat((floatBitsToUint(v) + 0x1000u) & 0xffffe000u);
}

uvec2 halves(vec4 v)
{
    return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
}

// Eight neighbours as high and low halves; v, v1 are scaled.
void put(uint high_at, uint low_at, bool low, vec4 v, vec4 v1)
{
    const vec4 least = vec4(6.103515625e-5); // 2^-14
    vec4 h = round11(v), h1 = round11(v1);
    h = mix(h, vec4(0), lessThan(abs(h), least));
    h1 = mix(h1, vec4(0), lessThan(abs(h1), least));
    memory[high_at] = uvec4(halves(h), halves(h1));
    if (!low) return;
    vec4 l = round11((v - h) * 4096.0), l1 = round11((v1 - h1) * 4096.0);
    memory[low_at] = uvec4(halves(l), halves(l1));
}

// From registers into shared memory, split. The result is 1 / (s s').
float stage()
{
    uvec2 p = peaks[0];
    for (uint i = 1; i < SUBGROUPS; i++) p = max(p, peaks[i]);
    uvec2 exponent = max(p >> 23, uvec2(78)); // 127 - 49
    vec2 scale = uintBitsToFloat((268 - exponent) << 23); // 2^(14 - exponent)
    vec2 unscale = uintBitsToFloat((exponent - 14) << 23);
    [[unroll]] for (uint i = 0; i < X_LOADS; i++) {
        uint item = me + i * LOCAL, at = item / OCTETS * PITCH + item % OCTETS;
        if (item < X_OCTETS)
            put(X_HIGH + at, X_LOW + at, true, xs[2 * i] * scale.x, xs[2 * i + 1] * scale.x);
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; i++) {
        uint item = me + i * LOCAL, at = item / OCTETS * PITCH + item % OCTETS;
        if (item < W_OCTETS)
            put(W_HIGH + at, W_LOW + at, !EXACT, ws[2 * i] * scale.y, ws[2 * i + 1] * scale.y);
    }
    return unscale.x * unscale.y;
}

// One declaration each: glslang 13 forgets a part of the type after a comma.
SUM total[DOWN * ACROSS];
SUM high[DOWN * ACROSS];
SUM low[DOWN * ACROSS];

// Adds the products of the staged step. row and col: of the team's part of the tile.
void multiply(uint row, uint col, float factor)
{
    UNROLL for (uint i = 0; i < DOWN * ACROSS; i++) {
        high[i] = SUM_ZERO;
        low[i] = SUM_ZERO;
    }
    UNROLL for (uint k = 0; k < STEP / 16; k++) {
        LEFT xh[DOWN];
        LEFT xl[DOWN];
        UNROLL for (uint i = 0; i < DOWN; i++) {
            LOAD_LEFT(xh[i], X_HIGH + (row + 16 * i) * PITCH + 2 * k);
            LOAD_LEFT(xl[i], X_LOW + (row + 16 * i) * PITCH + 2 * k);
        }
        UNROLL for (uint j = 0; j < ACROSS; j++) {
            RIGHT wh;
            RIGHT wl;
            LOAD_RIGHT(wh, W_HIGH + (col + 16 * j) * PITCH + 2 * k);
            UNROLL for (uint i = 0; i < DOWN; i++) {
                SUM_MULTIPLY(high[i * ACROSS + j], xh[i], wh);
                SUM_MULTIPLY(low[i * ACROSS + j], xl[i], wh);
            }
            if (EXACT) continue;
            LOAD_RIGHT(wl, W_LOW + (col + 16 * j) * PITCH + 2 * k);
            UNROLL for (uint i = 0; i < DOWN; i++)
                SUM_MULTIPLY(low[i * ACROSS + j], xh[i], wl);
        }
    }
    UNROLL for (uint i = 0; i < DOWN * ACROSS; i++)
        SUM_ADD(total[i], high[i], low[i], 1.0 / 4096.0, factor);
}

// y = alpha * total + beta * r, through shared memory, where edges are cut.
void finish(uint row, uint col)
{
    UNROLL for (uint i = 0; i < DOWN; i++)
        UNROLL for (uint j = 0; j < ACROSS; j++)
            SUM_STORE(total[i * ACROSS + j], (row + 16 * i) * SUM_PITCH + (col + 16 * j) / 4);
    barrier();
    for (uint i = me; i < ROWS * COLS; i += LOCAL) {
        uint r = i / COLS, c = i % COLS, at = (row0 + r) * a.ldy + col0 + c;
        if (row0 + r >= a.rows || col0 + c >= a.outs) continue;
        float y = a.alpha * uintBitsToFloat(memory[r * SUM_PITCH + c / 4][c % 4]);
        if (a.beta != 0) y += a.beta * a.r.v[at];
        a.y.v[at] = y;
    }
}

void main()
{
    uint row = TEAM / TEAMS_ACROSS * (16 * DOWN), col = TEAM % TEAMS_ACROSS * (16 * ACROSS);
    UNROLL for (uint i = 0; i < DOWN * ACROSS; i++) total[i] = SUM_ZERO;
    fetch(0);
    for (uint k = 0; k < a.inner; k += STEP) {
        tell_peaks();
        barrier(); // peaks are told, and the step before has been read
        float factor = stage();
        barrier();
        if (k + STEP < a.inner) fetch(k + STEP);
        multiply(row, col, factor);
    }
    barrier();
    finish(row, col);
}
