// All twins, for the tables of twin_float.c and twin_double.c; an operator without one does not
// compile.
#pragma once
#include "check/twin_attention.h"
#include "check/twin_gauss.h"
#include "check/twin_gemm.h"
#include "check/twin_linalg.h"
#include "check/twin_loss.h"
#include "check/twin_real.h"
#include "check/twin_rows.h"
#include "check/twin_svd.h"
#include "check/twin_weights.h"

#define twin_gemm_coop NULL // matrix units add as they like
#define twin_probe_fma NULL
#define twin_probe_memory NULL
