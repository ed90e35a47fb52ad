// 2^-e for x in [2^e, 2^(e+1)): scaling by it is exact. 1 for zero; held inside the normal range.
float unit_scale(float x)
{
    if (x == 0) return 1;
    int e = int(floatBitsToUint(x) >> 23 & 255u) - 127;
    return uintBitsToFloat(uint(clamp(127 - e, 1, 254)) << 23);
}
