// Plain fine-tuning of the edited matrix on the request: the cheap baseline.
#pragma once
#include "edit/editor.h"

extern const struct solver solver_ft, solver_ft_l;
