// What a group's elements have that no order of theirs changes: how many of x are not finite, how large y is.

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_scan) || defined(NORMA_ONLY_strided_fold) ||                    \
    defined(NORMA_ONLY_strided_result)
// Counts and the bits of floats have a cell's first word.
static inline __global uint4 *words(const struct view *view)
{
    return (__global uint4 *)view->at[ST_WORKSPACE];
}

// As integers the bits of magnitudes are in their order, with infinity and then NaN at the end.
static inline uint joined(const struct view *view, uint a, uint b)
{
    return word(view, ST_OUTPUT) == ST_SCAN_NONFINITE ? a + b : max(a, b);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_scan)
static inline uint scanned(const struct view *view, const struct index *index)
{
    if (word(view, ST_OUTPUT) == ST_SCAN_NONFINITE)
        return isfinite(load(view, ST_X, index)) ? 0 : 1;
    struct element e = element_at(view, index);
    struct value v = value_at(view, index, &e, cell_at(view, index));
    return as_uint(activated(view, v.v2)) & 0x7fffffff;
}

STRIDED(strided_scan)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), result = 0;
    if (unit >= word(&view, ST_CHUNKS) * word(&view, ST_GROUPS))
        return;
    struct chunk chunk = chunk_of(&view, unit);
    set_group(&view, chunk.group, &index);
    for (uint i = chunk.begin; i < chunk.end; i++) {
        set_element(&view, i, &index);
        result = joined(&view, result, scanned(&view, &index));
    }
    words(&view)[chunk.out] = (uint4)(result, 0, 0, 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_fold)
STRIDED(strided_fold)
{
    struct view view = VIEW;
    uint unit = unit_index(), result = 0;
    if (unit >= word(&view, ST_GROUPS) * word(&view, ST_OUTPUTS))
        return;
    struct merge merge = merge_of(&view, unit);
    __global const uint4 *in = (__global const uint4 *)merge.in;
    for (uint i = 0; i < merge.count; i++)
        result = joined(&view, result, in[i].x);
    words(&view)[merge.out] = (uint4)(result, 0, 0, 0);
}
#endif

#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_result)
// The scale that takes the largest |y| to the largest number of the type.
static inline float scale_of(uint largest, float limit)
{
    float scale = as_float(largest) / limit;
    if (largest == 0)
        return 1.0f;
    return as_uint(scale) == 0 ? as_float(1u) : scale;
}

STRIDED(strided_result)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index(), group = word(&view, ST_GROUP0) + unit, output = word(&view, ST_OUTPUT);
    if (unit >= word(&view, ST_GROUPS))
        return;
    set_group(&view, group, &index);
    uint result = words(&view)[word(&view, ST_IN) + group].x;
    uint rank = word(&view, ST_GROUP_RANK);
    if (output != ST_SCAN_NONFINITE) {
        float scale = scale_of(result, output == ST_SCAN_INT8 ? 127.0f : 448.0f);
        cells(&view)[word(&view, ST_COEFFICIENTS) + group] = (stat)(scale, 0, 0, 0);
        result = as_uint(scale);
    }
    uint at = word(&view, tensor(ST_TO) + 1) + sum_of_strides(&view, tensor(ST_TO) + 2, rank, &index);
    ((__global uint *)view.at[ST_TO])[at] = result;
}
#endif
