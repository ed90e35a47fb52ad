#include <math.h>
#include <stdio.h>

#include "plot/chart.h"

static void tick_set(struct tick *tick, double value, double step)
{
    // As many decimals as the step has.
    int decimals = (int)ceil(-log10(step) - 1e-9);
    if (fabs(value) < step * 1e-9) value = 0;
    tick->value = value;
    if (fabs(value) >= 1e6 || (value != 0 && fabs(value) < 1e-4))
        snprintf(tick->text, sizeof tick->text, "%g", value);
    else
        snprintf(tick->text, sizeof tick->text, "%.*f", decimals > 0 ? decimals : 0, value);
}

static uint32_t ticks_even(double low, double high, const struct axis *axis, uint32_t most,
                           struct tick *ticks)
{
    static const double turns[] = {1, 2, 5};
    double decade = pow(10, floor(log10((high - low) / most)));
    for (uint32_t i = 0; i < 12; i++) {
        double step = decade * turns[i % 3] * pow(10, i / 3);
        if (axis->whole && step < 1) continue;
        double first = ceil(low / step - 1e-9), last = floor(high / step + 1e-9);
        if (last - first + 1 > most) continue;
        uint32_t count = 0;
        for (double k = first; k <= last; k++) tick_set(&ticks[count++], k * step, step);
        return count;
    }
    return 0;
}

static uint32_t ticks_log(double low, double high, uint32_t most, struct tick *ticks)
{
    static const struct {
        uint32_t count;
        double turns[6];
        uint32_t skip; // decades
    } ways[] = {{6, {1, 1.5, 2, 3, 5, 7}, 1}, {3, {1, 2, 5}, 1}, {1, {1}, 1},
                {1, {1}, 2},                  {1, {1}, 4},       {1, {1}, 10}};
    double eps = 1e-9;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        uint32_t count = 0;
        double decade = floor(log10(low) + eps);
        if (ways[w].skip > 1) decade = ways[w].skip * ceil(log10(low) / ways[w].skip - eps);
        for (; pow(10, decade) <= high * (1 + eps) && count <= most; decade += ways[w].skip)
            for (uint32_t i = 0; i < ways[w].count && count <= most; i++) {
                double value = ways[w].turns[i] * pow(10, decade);
                if (value < low * (1 - eps) || value > high * (1 + eps)) continue;
                if (count < most) {
                    ticks[count].value = value;
                    snprintf(ticks[count].text, sizeof ticks[count].text, "%g", value);
                }
                count++;
            }
        if (count <= most) return count;
    }
    return 0;
}

uint32_t chart_ticks(double low, double high, const struct axis *axis, uint32_t most,
                     struct tick ticks[TICKS_MAX])
{
    if (most > TICKS_MAX) most = TICKS_MAX;
    return axis->logarithmic ? ticks_log(low, high, most, ticks)
                             : ticks_even(low, high, axis, most, ticks);
}
