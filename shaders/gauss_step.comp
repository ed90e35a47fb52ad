#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "state.def"
#include "reduce.glsl"

// The step s from the best delta x so far. A backward pass gives each prompt's gradient by itself,
// so the loss is modelled as the convex function it is of terms t that are nearly linear in delta
// (gauss_look.comp); with the rows A = dt/d delta
//   m(s) = sum_g w_g log(1 + e^(t_g + A_g s)) + sum_i (t_i + A_i s)^2 / 2.
// That is Gauss-Newton for a convex function of residuals (Nocedal and Wright, Numerical
// Optimization, 10.3; Burke and Ferris, A Gauss-Newton method for convex composite optimization,
// 1995). Taken is the shortest s for which m meets the goal, or the best one within the radius:
//   s = argmin m(s) + mu/2 |s|^2 + nu/2 |x + s|^2,  nu > 0 only where |x + s| would pass the clamp.
// Its gradient is zero where s = -theta x + A^T y, theta = nu / (mu + nu): as few unknowns y as
// there are rows, found by Newton's method from the Gram matrix of A and x. mu + nu is called mu.
// One loop evaluates m once a turn, whatever for: a driver compiles each barrier() it meets, and
// called as a function from several places they took lavapipe minutes.
// Mesa 22.3's CPU driver leaves every loop once all of them have gone round 65535 times in all. So
// short ones are unrolled, and 56000 turns are for the search, of which one evaluation and solution
// takes 1.5 rows and 10 (a loop counts once more at its end). 3000 random problems took 110 of them
// as a rule and 492 at most; 43 groups of prompts get 695, 6 of them 2240.
const uint MOST = GAUSS_MOST, LD = MOST + 2; // odd, against bank conflicts
const uint TURNS = 56000, FEW = 8, MANY = 16, PARTS = 3; // of MOST
const int PASSES = 20, HALVES = 5, DAMPINGS = 40, CENTRES = 7;
#define EACH(i, from, count) [[unroll]] for (uint i##_ = 0, i = from; i##_ < count; i##_++, i++)
shared float m[MOST * LD]; // [rows, rows + 1]
shared float dual[MOST];
shared vec4 parts[MOST];

uint me = gl_LocalInvocationID.x, rows = a.groups + GAUSS_TERMS;
bool mine = me < rows; // thread r holds row r
float weight = 0;      // w_g

struct point { // y, K y = A (s + theta x); then sums over the rows: m, y K y, y A x
    float y, move, model, own, cross_, still; // still: m at y = 0
};

float gram(uint i, uint j)
{
    return a.gram.v[i * (rows + 1) + j];
}

// A row's share of m.
float share(float t)
{
    if (me >= a.groups) return 0.5 * t * t;
    float e = exp(-abs(t));
    return weight * (max(t, 0) + (e < 1e-3 ? e - 0.5 * e * e : log(1 + e)));
}

// Its first and second derivative.
vec2 slopes(float t)
{
    if (me >= a.groups) return vec2(t, 1);
    float p = t < 0 ? div(exp(t), 1 + exp(t)) : div(1, 1 + exp(-t));
    return weight * vec2(p, p * (1 - p));
}

point evaluate(float y, float term, float along)
{
    point p = point(y, 0, 0, 0, 0, 0);
    if (mine) dual[me] = y;
    barrier();
    for (uint k0 = 0; k0 < rows; k0 += FEW)
        EACH(k, k0, FEW) if (mine && k < rows) p.move += gram(me, k) * dual[k];
    if (mine) parts[me] = vec4(share(term + p.move), y * p.move, y * along, share(term));
    barrier();
    vec4 sum = vec4(0);
    for (uint k0 = 0; k0 < rows; k0 += FEW)
        EACH(k, k0, FEW) if (k < rows) sum += parts[k];
    p.model = sum.x;
    p.own = sum.y;
    p.cross_ = sum.z;
    p.still = sum.w;
    return p;
}

// y of (D K + mu I) y = right, D >= 0 the diagonal `curve`. Similar to a positive definite matrix,
// so no pivot is searched (Gauss and Jordan; a thread a row).
float eliminate(float curve, float right, float mu)
{
    for (uint k0 = 0; k0 < rows; k0 += FEW)
        EACH(k, k0, FEW)
            if (mine && k < rows) m[me * LD + k] = curve * gram(me, k) + (k == me ? mu : 0.0);
    if (mine) m[me * LD + rows] = right;
    for (uint k = 0; k < rows; k++) {
        barrier();
        float factor = mine && me != k ? div(m[me * LD + k], m[k * LD + k]) : 0.0;
        EACH(part, 0, PARTS) if (k + part * MANY < rows)
            EACH(j, k + part * MANY + 1, MANY)
                if (mine && me != k && j <= rows) m[me * LD + j] -= factor * m[k * LD + j];
    }
    return mine ? div(m[me * LD + rows], m[me * LD + me]) : 0.0;
}

// |s|^2, |x + s|^2
vec2 lengths(point p, float theta, float square)
{
    float rest = 1 - theta;
    return vec2(theta * theta * square - 2 * theta * p.cross_ + p.own,
                rest * rest * square + 2 * rest * p.cross_ + p.own);
}

struct path {        // from a theta: y as a function of mu, followed from y = 0 down
    float theta, mu; // mu: the least so far that keeps the bounds
    float low;       // one that does not; 0: none yet
    point at;        // of mu
    bool fits, clamped; // at keeps within the clamp; it is the clamp that low does not keep to
    int dampings;
};

// Where the last y went, and the next mu; 0: the end. The least mu is found to 5%.
float follow(inout path p, point now, float mu, float least, float square, vec2 bounds, float goal)
{
    vec2 s = lengths(now, p.theta, square);
    bool clamped = s.y > bounds.y, past = clamped || s.x > bounds.x || now.model < goal;
    if (past && p.dampings > 0) {
        p.low = mu;
        p.clamped = clamped;
    } else {
        p.mu = mu;
        p.at = now;
        p.fits = !clamped;
    }
    float next = p.low > 0 ? sqrt(p.mu * p.low) : 0.5 * p.mu;
    bool end = next < least || p.low > 0.95 * p.mu || ++p.dampings > DAMPINGS;
    return end ? 0.0 : next;
}

// The best point in bounds; its mu is 0 where there is nothing to gain. Under 1e-5 of the Gram
// matrix mu would ask more of it than its rounding allows. theta = 0 is enough unless
// the clamp ends its path; then one is searched where clamp and radius (or goal) end it together.
path search(float first, float along, float square, float radius, float goal)
{
    float least = 0, far = sqrt(square);
    vec2 bounds = vec2(radius * radius, a.clamp * a.clamp) * 1.0001;
    for (uint k = 0; k < rows; k++) least = max(least, 1e-5 * gram(k, k));
    point zero = point(0, 0, 0, 0, 0, 0), now = zero;
    path p = path(0, 0, 0, zero, false, false, 0), best = p;
    float term = first, towards = 0, mu = 0, value = 0, part = 1;
    float inside = min(1, div(radius, max(far, 1e-30))), outside = 0; // of theta
    float at = mine ? slopes(term).x : 0.0;
    bool start = true; // of a path: `at` is the slope at y = 0
    int pass = 0, halves = 0, centres = 0;
    uint left = 2 * TURNS / (3 * rows + 20); // evaluations
    for (bool more = true; more;) {
        point tried = evaluate(at, term, along);
        bool solved = false, end = false;
        left--;
        if (start) { // |A^T y| <= |A^T slope| / mu: with this mu no bound is passed
            float room = max(a.clamp - (1 - p.theta) * far, 1e-3 * a.clamp);
            mu = div(sqrt(max(tried.own, 0)), min(radius - p.theta * far, room));
            p = path(p.theta, 0, 0, zero, false, false, 0);
            now = zero;
            value = tried.still;
            pass = 0;
            start = false;
            end = !(mu > 0 && mu < 3.4e38);
        } else if (tried.model + 0.5 * mu * tried.own <= value) {
            float gain = value - tried.model - 0.5 * mu * tried.own;
            now = tried;
            solved = gain <= 1e-3 * value || ++pass == PASSES;
            value -= gain;
        } else if (left > 0 && halves++ < HALVES) {
            part *= 0.5;
            at = now.y + part * towards;
            continue;
        } else {
            solved = true;
        }
        if (solved) {
            mu = follow(p, now, mu, least, square, bounds, goal);
            now = p.at;
            value = now.model + 0.5 * mu * now.own;
            pass = 0;
            end = mu == 0;
        }
        if (end || left == 0) {
            if (p.mu > 0 && p.fits && (best.mu == 0 || p.at.model < best.at.model)) best = p;
            more = p.clamped || (p.mu > 0 && !p.fits) || centres > 0;
            if (centres > 0 && !p.clamped) inside = p.theta;
            if (centres > 0 && p.clamped) outside = p.theta;
            more = more && left > 0 && centres++ < CENTRES;
            p.theta = 0.5 * (inside + outside);
            term = first - p.theta * along;
            at = mine ? slopes(term).x : 0.0;
            start = true;
            continue;
        }
        vec2 s = mine ? slopes(term + now.move) : vec2(0);
        at = eliminate(s.y, s.y * now.move - s.x, mu);
        towards = at - now.y; // never x + (y - x), which glslc turns into y
        part = 1;
        halves = 0;
    }
    return best;
}

void main()
{
    if (a.state.v[STATE_STOPPED] != 0) return;
    float total = a.state.v[STATE_BEST], radius = a.state.v[STATE_RADIUS];
    float square = gram(rows, rows), limit = a.clamp * a.clamp, present = 0;
    vec2 sum = vec2(0); // |delta|^2, |s|^2
    if (me < a.groups) // prompts in the group, of all
        weight = div(float(int((a.prompts - 2 - me) / a.groups + 1)), float(int(a.prompts - 1)));
    float term = mine ? a.terms.v[me] : 0.0;
    present = reduce_sum(mine ? share(term) : 0.0);
    // m leaves out what no step changes: the least that f1 and f2 can be.
    float rest = total - present;
    path p = search(term, mine ? gram(me, rows) : 0.0, square, radius, a.goal - rest);
    bool go = p.mu > 0 && present - p.at.model > 1e-6 * abs(total);
    if (mine) dual[me] = p.at.y;
    barrier();
    for (uint i = me; i < a.n; i += LOCAL) {
        float x = a.rows.v[rows * a.n + i], s = -p.theta * x;
        for (uint r = 0; r < rows && go; r++) s += dual[r] * a.rows.v[r * a.n + i];
        float d = go ? x + s : x;
        a.delta.v[i] = d;
        sum += vec2(d * d, s * s);
    }
    sum = vec2(reduce_sum(sum.x), reduce_sum(sum.y));
    float shrink = go && sum.x > limit ? div(a.clamp, sqrt(sum.x)) : 1.0;
    for (uint i = me; i < a.n; i += LOCAL) a.delta.v[i] *= shrink;
    if (me != 0) return;
    a.state.v[STATE_LENGTH2] = sum.x * shrink * shrink;
    a.state.v[STATE_MODEL] = p.at.model + rest;
    a.state.v[STATE_MOVE] = sqrt(sum.y);
    a.state.v[STATE_DAMPING] = p.mu;
    a.state.v[STATE_CENTRE] = p.theta;
    if (!go) a.state.v[STATE_STOPPED] = 1; // nothing is left to gain
}
