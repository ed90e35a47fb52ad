#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "state.def"
#include "reduce.glsl"

// First half of a step of Gauss-Newton (the second, with the method, is gauss_step.comp): the total
// loss at delta; whether delta is the best so far; how far the model is trusted; the stop test. If
// it is the best, its linear model: a term t and a row dt/d delta each for
//   a group of prompts  t = log(e^NLL - 1), so that the group's NLL is log(1 + e^t);
//   KL, decay, f1, f2   t = sqrt(2 (f - low)), so that f is low + t^2 / 2, low the least it can be.
// Both transforms leave values and gradients as they are and make t nearly linear in delta. Trust
// region: Nocedal and Wright, Numerical Optimization, Algorithm 4.1, with limits of our own.
shared float scale[GAUSS_MOST];

uint me = gl_LocalInvocationID.x, targets = a.prompts - 1;

// 1 - e^-x, of full precision for small x, too.
float rise(float x)
{
    return x < 0.01 ? x * (1 - x * (0.5 - x * (1.0 / 6.0))) : 1 - exp(-x);
}

// Prompts go round the groups; with up to GAUSS_GROUPS of them each is its own.
float group_nll(uint g)
{
    float sum = 0, count = 0;
    for (uint j = g; j < targets; j += a.groups, count++)
        for (uint k = 0; k < a.tokens; k++) sum += a.loss.v[j * a.tokens + k];
    return div(sum, count * float(int(a.tokens)));
}

void put(uint row, float f, float low, float slope)
{
    float t = sqrt(max(2 * (f - low), 0));
    bool there = t > 5e-4; // under 1e-7: rounding of the KL
    a.terms.v[row] = there ? t : 0.0;
    scale[row] = there ? div(slope, t) : 0.0;
}

float grad(uint prompt, uint i)
{
    return a.grads.v[a.index.v[prompt] * a.n + i];
}

// Columns i, i + LOCAL ... of a prompt, zero past n. Four at a time, since Mesa 22.3's CPU driver
// leaves every loop once all have gone round 65535 times: 1000 prompts fit up to n = 7168.
const uint FOUR = 4 * LOCAL;

vec4 grads4(uint prompt, uint i)
{
    uvec4 c = i + uvec4(0, LOCAL, 2 * LOCAL, 3 * LOCAL), at = min(c, uvec4(a.n - 1));
    vec4 g = vec4(grad(prompt, at.x), grad(prompt, at.y), grad(prompt, at.z), grad(prompt, at.w));
    return mix(vec4(0), g, lessThan(c, uvec4(a.n)));
}

void linearise(float kl, float len)
{
    uint kl_row = a.groups;
    if (me < a.groups) {
        float nll = max(group_nll(me), 1e-6), part = 0;
        for (uint j = me; j < targets; j += a.groups) part++;
        a.terms.v[me] = nll + log(rise(nll));
        scale[me] = div(float(int(targets)), part * rise(nll));
    }
    if (me == 0) {
        put(kl_row, kl, 0, 1);
        put(kl_row + 1, a.decay * len, 0, len > 0 ? div(a.decay, len) : 0.0);
        put(kl_row + 2, a.state.v[STATE_F1], a.low1, 1);
        put(kl_row + 3, a.state.v[STATE_F2], a.low2, 1);
    }
    float along1 = a.state.v[STATE_F1 + 1], along2 = a.state.v[STATE_F2 + 1];
    barrier();
    for (uint i = me; i < a.n; i += FOUR)
        for (uint g = 0; g < a.groups; g++) {
            vec4 sum = vec4(0);
            for (uint j = g; j < targets; j += a.groups) sum += grads4(j, i);
            sum *= scale[g];
            [[unroll]] for (uint c = 0; c < 4; c++)
                if (i + c * LOCAL < a.n) a.rows.v[g * a.n + i + c * LOCAL] = sum[c];
        }
    for (uint i = me; i < a.n; i += LOCAL) {
        float x = a.delta.v[i];
        uint at = kl_row * a.n + i;
        a.rows.v[at] = grad(targets, i) * scale[kl_row];
        a.rows.v[at + a.n] = x * scale[kl_row + 1];
        a.rows.v[at + 2 * a.n] = (a.pulls.v[i] + along1 * x) * scale[kl_row + 2];
        a.rows.v[at + 3 * a.n] = (a.pulls.v[a.n + i] + along2 * x) * scale[kl_row + 3];
        a.rows.v[at + 4 * a.n] = x;
    }
}

// A gradient that overflowed makes a point as useless as a loss that did.
bool finite(float total)
{
    vec4 squares = vec4(0);
    for (uint i = me; i < a.n; i += FOUR)
        for (uint j = 0; j < a.prompts; j++) {
            vec4 g = grads4(j, i);
            squares += g * g;
        }
    float square = squares.x + squares.y + squares.z + squares.w;
    for (uint i = me; i < a.n; i += LOCAL)
        square += a.pulls.v[i] * a.pulls.v[i] + a.pulls.v[a.n + i] * a.pulls.v[a.n + i];
    return reduce_sum(square) < 3.4e38 && abs(total) < 3.4e38;
}

float radius_next(float gain, float promised, bool usable)
{
    float radius = a.state.v[STATE_RADIUS], move = a.state.v[STATE_MOVE];
    if (!usable) return 0.35 * move;
    if (!(gain >= 0.1 * promised)) return (gain > 0 ? 0.5 : 0.35) * move;
    return gain > 0.7 * promised && move > 0.9 * radius ? min(2 * radius, a.clamp) : radius;
}

void main()
{
    if (a.state.v[STATE_STOPPED] != 0) return;
    float nll = 0;
    uint losses = targets * a.tokens;
    for (uint i = me; i < losses; i += LOCAL) nll += a.loss.v[i];
    nll = div(reduce_sum(nll), float(int(losses)));
    float len = sqrt(a.state.v[STATE_LENGTH2]), before = a.state.v[STATE_BEST];
    float kl = a.kl_factor * a.loss.v[losses], decay = a.decay * len;
    float penalties = a.state.v[STATE_F1] + a.state.v[STATE_F2];
    float total = nll + kl + decay + penalties;
    float step_ = a.state.v[STATE_STEP] + 1, radius = min(a.radius, a.clamp);
    // The first look, at delta = 0, has no penalties; what is compared with it has none either.
    float gain = before - total + (a.state.v[STATE_CHOSEN] == 1 ? penalties : 0.0);
    bool first = step_ == 1, usable = finite(total) && a.state.v[STATE_FAULT] == 0;
    bool better = usable && (first || gain > 0);
    if (!first) radius = radius_next(gain, before - a.state.v[STATE_MODEL], usable);
    bool stop = (better && total < a.stop) || step_ >= float(int(a.steps)) || (first && !usable);
    if (better) linearise(kl, len);
    float square = 0;
    for (uint i = me; i < a.n && stop && !better && !first; i += LOCAL) {
        float x = a.rows.v[(a.groups + GAUSS_TERMS) * a.n + i];
        a.delta.v[i] = x;
        square += x * x;
    }
    square = reduce_sum(square);
    if (me != 0) return;
    if (!usable && !first) a.state.v[STATE_FAULT] = 0; // turned from
    a.state.v[STATE_STEP] = step_;
    a.state.v[STATE_STOPPED] = stop ? 1.0 : 0.0;
    a.state.v[STATE_TOTAL] = total;
    a.state.v[STATE_NLL] = nll;
    a.state.v[STATE_KL] = kl;
    a.state.v[STATE_DECAY] = decay;
    a.state.v[STATE_RADIUS] = radius;
    if (better || first) a.state.v[STATE_CHOSEN] = step_;
    if (better) a.state.v[STATE_BEST] = total;
    if (stop && !better && !first) a.state.v[STATE_LENGTH2] = square;
}
