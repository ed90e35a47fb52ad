// The table of --profile: time by operator, then all of the wall time by phase.
#pragma once
#include "vk/device.h"

void profile_print(struct device *dev); // on stderr; sorts dev->profile
