#include "base/maths.h"

#include <math.h>

// Constants in parts: the first ones have 33 bits, so that a whole number times them is exact.
static const double half_pi[3] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
static const double log_2[2] = {0x1.62e42fefp-1, 0x1.473de6af278edp-34};

// x = count ln 2 + rest; exp(rest) by its series, |rest| <= 0.35: the next term is under 2^-57.
double maths_exp(double x)
{
    if (isnan(x)) return x;
    if (x > 709.79) return HUGE_VAL;
    if (x < -745.2) return 0;
    double count = floor(x * 0x1.71547652b82fep+0 + 0.5);
    double rest = (x - count * log_2[0]) - count * log_2[1], sum = 0;
    for (int n = 13; n > 0; n--) sum = (1 + sum) * rest / n;
    return ldexp(1 + sum, (int)count);
}

// x = 2^power m with m in sqrt(1/2) to sqrt(2); log m = 2 atanh(s), s = (m - 1) / (m + 1).
double maths_log(double x)
{
    if (x == 0) return -HUGE_VAL;
    if (!(x > 0) || isinf(x)) return x < 0 ? NAN : x;
    int power;
    double m = frexp(x, &power);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        power--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int n = 23; n > 1; n -= 2) sum = (sum + 1.0 / n) * square;
    return power * log_2[0] + (2 * s + (2 * s * sum + power * log_2[1]));
}

double maths_power(double base, double y)
{
    return maths_exp(y * maths_log(base));
}

// x = turns pi / 2 + rest; both series at rest, |rest| <= 0.79: the next terms are under 2^-60.
void maths_circle(double x, double *sine, double *cosine)
{
    double turns = floor(x * 0x1.45f306dc9c883p-1 + 0.5);
    double rest = ((x - turns * half_pi[0]) - turns * half_pi[1]) - turns * half_pi[2];
    double square = rest * rest, s = 0, c = 0;
    for (int n = 18; n > 0; n -= 2) {
        s = -(1 + s) * square / (n * (n + 1));
        c = -(1 + c) * square / (n * (n - 1));
    }
    double parts[2] = {rest + rest * s, 1 + c}; // sine, cosine of the rest
    int quarter = (int)(turns - 4 * floor(turns / 4));
    *sine = (quarter & 2 ? -1 : 1) * parts[quarter & 1];
    *cosine = ((quarter + 1) & 2 ? -1 : 1) * parts[!(quarter & 1)];
}
