// The end of a matrix product: y = alpha * sum + beta * r for COLS neighbours of every row. Parts of
// a split sum (z) lie behind each other.
void store_one(uint at, float sum)
{
    float y = a.alpha * sum;
    if (a.beta != 0) y += a.beta * a.r.v[at];
    a.y.v[at] = calm(y);
}

void store_four(uint at, vec4 sum)
{
    vec4 y = a.alpha * sum;
    if (a.beta != 0) y += a.beta * load4(a.r, at);
    store4(a.y, at, calm(y));
}

void store(uint row0, uint col)
{
    EACH(i, ROWS) {
        uint row = row0 + i, at = (gl_WorkGroupID.z * a.rows + row) * a.ldy + col;
        EACH(q, COLS / 4) {
            if (UNALIGNED) {
                EACH(j, 4)
                    if (row < a.rows && col + 4 * q + j < a.outs)
                        store_one(at + 4 * q + j, sum[i][4 * q + j]);
            } else if (row < a.rows && col + 4 * q < a.outs) {
                store_four(at + 4 * q, vec4(sum[i][4 * q], sum[i][4 * q + 1], sum[i][4 * q + 2],
                                            sum[i][4 * q + 3]));
            }
        }
    }
}
