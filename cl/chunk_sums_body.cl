// CHUNK_SUMS and its LANE_SUMS, made of TERM, what is added for an element, which knows TERM_PARAMETERS. Included once for
// each kind of terms; undefines them all.

// A lane's 16 steps in a block, from the group's element i on.
static inline float2 LANE_SUMS(const struct view *view, struct index *index, uint i, uint end, TERM_PARAMETERS)
{
    float2 sum = 0;
    for (; i < end; i += LANE_GROUP) {
        float2 d[4];
        for (uint s = 0; s < 4; s++) {
            uint at = i + s * LANE_STEP;
            d[s] = 0;
            if (at >= end)
                continue;
            set_element(view, at, index);
            d[s] = TERM;
        }
        sum = sum + ((d[0] + d[1]) + (d[2] + d[3]));
    }
    return sum;
}

// The tree's S1 and S2 of elements [begin, end), a chunk. One lane after the other: their order is free, that of a
// lane's additions and of the lanes' sums is not.
static inline float2 CHUNK_SUMS(const struct view *view, struct index *index, uint begin, uint end, TERM_PARAMETERS)
{
    float2 T[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint block = begin; block < end; block += BLOCK) {
        uint stop = min(block + BLOCK, end);
        for (uint t = 0; t < 8; t++) {
            float2 A[4];
            for (uint v = 0; v < 4; v++)
                A[v] = LANE_SUMS(view, index, block + 4 * t + v, stop, TERM_ARGUMENTS);
            T[t] = T[t] + ((A[0] + A[1]) + (A[2] + A[3]));
        }
    }
    return ((T[0] + T[4]) + (T[2] + T[6])) + ((T[1] + T[5]) + (T[3] + T[7]));
}

#undef CHUNK_SUMS
#undef LANE_SUMS
#undef TERM_PARAMETERS
#undef TERM_ARGUMENTS
#undef TERM
