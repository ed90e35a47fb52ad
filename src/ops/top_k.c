#include "ops/top_k.h"

// Mesa 22.3's CPU driver leaves every loop of a shader, without a word, once they have gone round
// 65535 times in all: of 49152 logits the 86th best was wrong.
enum { TURNS = 60000, THREADS = 64 };

void top_k(struct cmd *cmd, fbuf x, ubuf ids, fbuf values, uint32_t rows, uint32_t cols,
           uint32_t k)
{
    uint32_t turns = CEIL(cols, THREADS) + 8, most = turns < TURNS ? TURNS / turns : 1;
    for (uint32_t first = 0; first < k; first += most)
        op_top_k(cmd, (struct top_k_args){.x = x, .ids = ids, .values = values, .rows = rows,
                                          .cols = cols, .k = k, .first = first,
                                          .passes = k - first < most ? k - first : most});
}
