#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "state.def"
#include "reduce.glsl"

// Small gradients and their squares fall under the normal range: zero everywhere, then.
float normal(float x)
{
    return abs(x) < 1.17549435e-38 ? 0.0 : x;
}

// O-Edit Eq. 5 with Eq. 13's penalties: the total loss, then, unless it is low enough or this was
// the last look, one step of Adam (Kingma and Ba; betas 0.9, 0.999, eps 1e-8) and the clamp.
void main()
{
    uint me = gl_LocalInvocationID.x;
    float nll = 0;
    for (uint i = me; i < a.losses; i += LOCAL) nll += a.loss.v[i];
    nll = div(reduce_sum(nll), float(int(a.losses)));
    float kl = a.kl_factor * a.loss.v[a.losses], length2 = a.state.v[STATE_LENGTH2];
    float len = sqrt(length2), decay = a.decay * len, step_ = a.state.v[STATE_STEP] + 1;
    float known = a.state.v[STATE_F1], implicit_ = a.state.v[STATE_F2];
    float total = nll + kl + decay + known + implicit_;
    // What multiplies delta in the gradient: the decay and the cosines' dependence on its length.
    float along = a.state.v[STATE_F1 + 1] + a.state.v[STATE_F2 + 1] +
                  (len > 0 ? div(a.decay, len) : 0.0);
    // 1 - beta^t step by step: from pow it would be a difference of two almost equal numbers.
    float near = 0.9 * a.state.v[STATE_NEAR] + 0.1, far = 0.999 * a.state.v[STATE_FAR] + 0.001;
    bool stop = total < a.stop || step_ >= float(int(a.steps)) || a.state.v[STATE_STOPPED] != 0;
    barrier();
    if (me == 0) {
        a.state.v[STATE_STEP] = step_;
        a.state.v[STATE_STOPPED] = stop ? 1.0 : 0.0;
        a.state.v[STATE_TOTAL] = total;
        a.state.v[STATE_NLL] = nll;
        a.state.v[STATE_KL] = kl;
        a.state.v[STATE_DECAY] = decay;
        a.state.v[STATE_NEAR] = near;
        a.state.v[STATE_FAR] = far;
        a.state.v[STATE_CHOSEN] = step_;
    }
    if (stop) return;
    float square = 0;
    for (uint i = me; i < a.n; i += LOCAL) {
        float g = a.grad.v[i] + along * a.delta.v[i];
        float m = normal(normal(0.9 * a.m.v[i]) + normal(0.1 * g));
        float v = normal(normal(0.999 * a.v.v[i]) + normal(0.001 * g * g));
        float d = a.delta.v[i] - div(a.rate * div(m, near), sqrt(div(v, far)) + 1e-8);
        a.m.v[i] = m;
        a.v.v[i] = v;
        a.delta.v[i] = d;
        square += d * d;
    }
    square = reduce_sum(square);
    float shrink = sqrt(square) > a.clamp ? div(a.clamp, sqrt(square)) : 1.0;
    for (uint i = me; i < a.n; i += LOCAL) a.delta.v[i] *= shrink;
    if (me == 0) a.state.v[STATE_LENGTH2] = square * shrink * shrink;
}
