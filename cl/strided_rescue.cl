// Sums of backward that overflowed or have a term that lost something (a NaN): once more, the terms in wide floats, at
// the power of two that the largest of the chunk asks for. Included by strided.cl.
#if !defined(NORMA_ONLY) || defined(NORMA_ONLY_strided_rescue)
struct wide_pair {
    struct wide first, second;
};

static inline struct wide_pair wide_sums_term(const struct view *view, const struct index *index)
{
    struct wide_pair pair = {wide_of(0), wide_of(0)};
    uint output = word(view, ST_OUTPUT);
    struct element e = element_at(view, index);
    if (output == ST_SUM_ABOUT_MEAN) {
        pair.first = wide_sub(wide_of(e.t), wide_of(load(view, ST_TO, index)));
        return pair;
    }
    stat cell = cell_at(view, index);
    struct value v = value_at(view, index, &e, cell);
    struct wide_gradient d = wide_gradient_at(view, index, &e, &v);
    if (output == ST_SUM_STATISTICS) {
        pair.first = d.g;
        pair.second = wide_mul(d.g, wide_of(v.xhat));
    } else if (output == ST_SUM_DWEIGHT || output == ST_SUM_DBIAS) {
        pair.first = output == ST_SUM_DWEIGHT ? wide_mul(d.dv1, wide_of(v.normalised)) : d.dv1;
    } else {
        struct wide dh = wide_dh(view, index, &e, wide_dt(d.g, v.xhat, e.t, cell, coefficients_at(view, index)));
        pair.first = wide_mul(dh, wide_of(output == ST_SUM_DGATE ? e.biased : e.gate));
    }
    return pair;
}

// Exponents of the largest terms of a chunk.
static inline int2 largest_exponents(const struct view *view, struct index *index, uint begin, uint end)
{
    int2 most = WIDE_ZERO;
    for (uint i = begin; i < end; i++) {
        set_element(view, i, index);
        struct wide_pair pair = wide_sums_term(view, index);
        most = max(most, (int2)(pair.first.e, pair.second.e));
    }
    return most;
}

// The terms divided by 2 to the power e.
static inline float2 wide_sums_float(const struct view *view, const struct index *index, int2 e)
{
    struct wide_pair pair = wide_sums_term(view, index);
    pair.first.e = pair.first.e - e.x;
    pair.second.e = pair.second.e - e.y;
    return (float2)(wide_float(pair.first), wide_float(pair.second));
}

#define CHUNK_SUMS wide_chunk_sums
#define LANE_SUMS wide_lane_sums
#define TERM_PARAMETERS int2 e
#define TERM_ARGUMENTS e
#define TERM wide_sums_float(view, index, e)
#include "chunk_sums_body.cl"

static inline bool sums_are_lost(stat sums)
{
    return !isfinite(sums.x) || !isfinite(sums.y);
}

// Where nothing was lost, whatever was found in float stays.
STRIDED(strided_rescue)
{
    struct view view = VIEW;
    struct index index;
    uint unit = unit_index();
    if (unit >= word(&view, ST_CHUNKS) * word(&view, ST_GROUPS))
        return;
    struct chunk chunk = chunk_of(&view, unit);
    if (!sums_are_lost(cells(&view)[chunk.out]))
        return;
    set_group(&view, chunk.group, &index);
    int2 e = largest_exponents(&view, &index, chunk.begin, chunk.end);
    float2 S = wide_chunk_sums(&view, &index, chunk.begin, chunk.end, e);
    cells(&view)[chunk.out] = wide_cell(wide_scaled(S.x, e.x), wide_scaled(S.y, e.y));
}
#endif
