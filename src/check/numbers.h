// The functions of shaders/numbers.glsl in C: the same operations in the same order, so the same
// bits. Compiled with -ffp-contract=off.
#pragma once

float strict_div(float x, float y);
float strict_sqrt(float x);
float strict_exp(float x);
float strict_log(float x);
