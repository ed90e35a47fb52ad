// The two 16-bit float formats, by bits: the same result on every compiler and machine.
#pragma once
#include <stdint.h>

uint16_t half_from_float(float value); // nearest, ties to even; too large gives infinity
float half_to_float(uint16_t half);
uint16_t bfloat_from_float(float value); // nearest, ties to even
float bfloat_to_float(uint16_t bfloat);
