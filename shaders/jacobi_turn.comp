#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"
#include "pairs.glsl"

const uint WIDE = PAIR + 1;   // of a row in shared memory
const float NOTHING = 1e-30;  // square of a length that counts as zero

shared float g[PAIR * WIDE], t[PAIR * WIDE];
shared uint home[PAIR];     // row i of the product is unit row home[i] plus row i of t
shared vec3 spin[HALF];     // 1 - cos, sin, 1 if the two rows then change places
shared uvec2 rows[HALF];    // p < q of each pair of the meeting
shared vec2 diagonal[HALF]; // of the pair afterwards; x < 0: left alone

uint me = gl_LocalInvocationID.x;

float cosine(uint i, uint j)
{
    float x = g[i * WIDE + i], y = g[j * WIDE + j];
    return x > NOTHING && y > NOTHING ? div(abs(g[i * WIDE + j]), sqrt(x) * sqrt(y)) : 0.0;
}

float cosine_max()
{
    float worst = 0;
    for (uint at = me; at < PAIR * PAIR; at += LOCAL)
        if (at / PAIR < at % PAIR) worst = max(worst, cosine(at / PAIR, at % PAIR));
    return reduce_max(worst);
}

// The rotation of rows p < q that makes g[p, q] zero, the longer row first (de Rijk).
void rotation_find(uint pair, uint meeting)
{
    rows[pair] = pair_blocks(pair, meeting, PAIR);
    uint p = rows[pair].x, q = rows[pair].y;
    float x = g[p * WIDE + p], y = g[q * WIDE + q], z = g[p * WIDE + q];
    spin[pair] = vec3(0);
    diagonal[pair] = vec2(-1);
    if (!(cosine(p, q) > 0.25 * a.tol)) return;
    float zeta = div(y - x, 2 * z), size = abs(zeta);
    float u = size > 1e9 ? div(0.5, size) : div(1, size + sqrt(1 + size * size));
    u = zeta < 0 ? -u : u;
    float c = div(1, sqrt(1 + u * u)), s = c * u;
    vec2 d = max(vec2(x - u * z, y + u * z), vec2(0));
    bool swap = d.x < d.y;
    spin[pair] = vec3(div(s * s, 1 + c), s, swap ? 1 : 0);
    diagonal[pair] = swap ? d.yx : d;
}

// The rotation by rows.
vec4 matrix_of(vec3 spin_)
{
    float c = 1 - spin_.x, s = spin_.y;
    return spin_.z != 0 ? vec4(s, c, c, -s) : vec4(c, -s, s, c);
}

// g <- M g M^T, M made of the 16 rotations; blocks of 2 x 2 are independent. The product of all
// rotations is kept as unit rows and small differences t: were cos rounded to 1 for small angles,
// every rotation would lengthen its rows a little, and singular values would grow by 1e-5.
void rotate()
{
    uint j = me % HALF;
    uvec2 s = rows[j];
    vec4 n = matrix_of(spin[j]);
    for (uint i = me / HALF; i < HALF; i += LOCAL / HALF) {
        uvec2 r = rows[i];
        vec4 m = matrix_of(spin[i]);
        uint xx = r.x * WIDE + s.x, xy = r.x * WIDE + s.y, yx = r.y * WIDE + s.x,
             yy = r.y * WIDE + s.y;
        vec2 top = m.x * vec2(g[xx], g[xy]) + m.y * vec2(g[yx], g[yy]);
        vec2 low = m.z * vec2(g[xx], g[xy]) + m.w * vec2(g[yx], g[yy]);
        vec4 b = vec4(top.x * n.x + top.y * n.y, top.x * n.z + top.y * n.w,
                      low.x * n.x + low.y * n.y, low.x * n.z + low.y * n.w);
        if (i == j && diagonal[i].x >= 0) b = vec4(diagonal[i].x, 0, 0, diagonal[i].y);
        g[xx] = b.x;
        g[xy] = b.y;
        g[yx] = b.z;
        g[yy] = b.w;
    }
    j = me % PAIR;
    for (uint i = me / PAIR; i < HALF; i += LOCAL / PAIR) {
        uvec2 r = rows[i];
        vec3 turn = spin[i];
        float p = t[r.x * WIDE + j], q = t[r.y * WIDE + j];
        float x = p + (home[r.x] == j ? 1.0 : 0.0), y = q + (home[r.y] == j ? 1.0 : 0.0);
        p = calm(p - (turn.x * x + turn.y * y)); // small angles multiply, meeting by meeting
        q = calm(q + (turn.y * x - turn.x * y));
        t[r.x * WIDE + j] = turn.z != 0 ? q : p;
        t[r.y * WIDE + j] = turn.z != 0 ? p : q;
    }
}

// Pair `me` of the meeting: rows that changed places change homes.
void rehome()
{
    uvec2 r = rows[me];
    if (spin[me].z == 0) return;
    uint old = home[r.x];
    home[r.x] = home[r.y];
    home[r.y] = old;
}

// Row `me` of the product is made a unit row again: e + t with |e + t|^2 = 1 + d.
void write_row(uint base)
{
    float d = 2 * t[me * WIDE + home[me]];
    for (uint j = 0; j < PAIR; j++) d += t[me * WIDE + j] * t[me * WIDE + j];
    float f = div(-d, 1 + d + sqrt(1 + d));
    for (uint j = 0; j < PAIR; j++) {
        float x = t[me * WIDE + j];
        a.turn.v[base + me * PAIR + j] = calm(x + f * (x + (home[me] == j ? 1.0 : 0.0)));
    }
    a.home.v[gl_WorkGroupID.x * PAIR + me] = home[me];
}

void main()
{
    uint pair = gl_WorkGroupID.x, base = pair * PAIR * PAIR;
    for (uint at = me; at < PAIR * PAIR; at += LOCAL) {
        uint i = at / PAIR, j = at % PAIR;
        g[i * WIDE + j] = a.gram.v[base + at];
        t[i * WIDE + j] = 0;
    }
    if (me < PAIR) home[me] = me;
    barrier();
    float worst = cosine_max();
    if (me == 0) {
        a.worst.v[pair] = max(a.worst.v[pair], worst);
        a.busy.v[pair] = worst > a.tol ? 1 : 0;
    }
    if (worst <= a.tol) return;
    // Every two of the 32 rows once; more would bring this pair of blocks further than the others.
    for (uint meeting = 0; meeting < PAIR - 1; meeting++) {
        if (me < HALF) rotation_find(me, meeting);
        barrier();
        rotate();
        barrier();
        if (me < HALF) rehome();
    }
    barrier();
    if (me < PAIR) write_row(base);
}
