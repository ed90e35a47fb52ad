// What the C library's functions leave open to their maker's rounding, made of + - * / alone, which
// IEEE 754 fixes to the bit: numbers that go into edits are the same with every C library. Errors
// are a few units in the last place of a double; tests/test_maths.c measures them.
#pragma once

double maths_exp(double x);                // 0 below -745, infinite over 709.78; of NaN NaN
double maths_log(double x);                // of 0 -infinity, of less NaN
double maths_power(double base, double y); // base > 0: exp(y log base), its error grows with |y|
void maths_circle(double x, double *sine, double *cosine); // |x| < 2^20 radians
