// Which test program has the cases of which operator. test_ops.c does not compile while an
// operator of ops.def stands in no list, a program does not link while a case of its list is
// missing, and no case stands in a list twice.
#pragma once

#define CASES_ROWS(CASE)                                                                           \
    CASE(embed) CASE(rmsnorm) CASE(rmsnorm_back) CASE(rope) CASE(scatter_rows) CASE(gather_rows)   \
    CASE(add_row) CASE(sum_rows) CASE(outer) CASE(outer_some) CASE(silu_gate) CASE(silu_gate_back)
#define CASES_VECTORS(CASE)                                                                        \
    CASE(fill) CASE(axpby) CASE(calm_weights) CASE(dot_rows) CASE(sum_parts) CASE(probe_fma)       \
    CASE(probe_memory)
#define CASES_ATTENTION(CASE)                                                                      \
    CASE(attention) CASE(attention_back_q) CASE(attention_back_kv) CASE(causal_softmax)            \
    CASE(causal_softmax_back)
#define CASES_LOSS(CASE)                                                                           \
    CASE(cross_entropy) CASE(cross_entropy_back) CASE(kl) CASE(kl_back) CASE(top_k)                \
    CASE(count_nonfinite) CASE(watch) CASE(cosine)
#define CASES_OPTIMIZER(CASE)                                                                      \
    CASE(keep_first) CASE(adam) CASE(adam_weights) CASE(running_stats) CASE(normalise_rows)
#define CASES_LINALG(CASE)                                                                         \
    CASE(copy_part) CASE(largest_rows) CASE(norm_rows) CASE(sort_index) CASE(count_rows)           \
    CASE(random) CASE(normal) CASE(unit_row) CASE(sweep_rows) CASE(svd_values)
#define CASES_CHOL(CASE)                                                                           \
    CASE(chol_shift) CASE(mirror) CASE(chol_block) CASE(chol_turn) CASE(chol_turn_rows)            \
    CASE(tri_gather) CASE(tri_block) CASE(tri_spread) CASE(residual)
#define CASES_GEMM(CASE) CASE(gemm_nt) CASE(gemm_nn) CASE(gemm_tn)
#define CASES_GEMM_COOP(CASE) CASE(gemm_coop)
// Steps of one algorithm, which mean nothing apart: see test_elsewhere in test_ops.c.
#define CASES_SVD(CASE) CASE(jacobi_gram) CASE(jacobi_turn) CASE(jacobi_apply) CASE(svd_vectors)
// Two halves of a step; test_gauss.c has their cases and whole runs.
#define CASES_GAUSS(CASE) CASE(gauss_look) CASE(gauss_step)
#define CASES_NUMBERS(CASE) CASE(evaluate)
