// A stored tensor as f32 on the device.
#pragma once
#include "io/weights.h"
#include "vk/buffer.h"

// y: [rows, cols] f32, exactly what the stored type means; a new buffer.
bool tensor_unpack(struct device *dev, const struct tensor *tensor, struct buffer **y);
