// Strict numbers: SPIR-V that has the same bits on every device.
#pragma once
#include "vk/device.h"

// A copy of a shader's code in which every floating-point operation is rounded by itself
// (NoContraction), and a fused multiply-add is a multiplication and an addition again. Fails,
// naming shader and instruction, where something is left that a driver may compute as it likes: a
// division or a function of its own, a conversion from unsigned integers, a reduction over a
// subgroup, a dot product. *code is to be freed; *bytes its size.
bool strict_code(const struct shader *shader, uint32_t **code, size_t *bytes);
