// Round-robin tournament of `blocks` (even) blocks of HALF rows: in meeting t < blocks - 1, pair p
// is blocks (t, last) for p = 0, else (t + p, t - p) modulo last; every two blocks meet once.
const uint HALF = 16, PAIR = 2 * HALF;

uvec2 pair_blocks(uint p, uint meeting, uint blocks)
{
    uint last = blocks - 1, i = (meeting + p) % last;
    uint j = p == 0 ? last : (meeting + last - p) % last;
    return uvec2(min(i, j), max(i, j));
}

// Row r < PAIR of a pair, as a row of the whole matrix.
uint pair_row(uvec2 pair, uint r)
{
    return r < HALF ? pair.x * HALF + r : pair.y * HALF + r - HALF;
}
