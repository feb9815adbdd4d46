// The outputs from the finished statistics, an invocation an element; with GRADIENT the gradients that have x's shape.
#version 450
#include "strided.glsl"

OUTPUT(to, ST_TO)
#ifdef GRADIENT
INPUT(dsum, ST_SUM)
#include "wide_element.glsl"
#else
OUTPUT(sum, ST_SUM)
#include "quantise.glsl"
#endif

#ifdef GRADIENT
// Two factors one after the other; lost where it was.
float product(const float a, const float b, const float c, inout bool lost)
{
    precise float ab = a * b;
    precise float abc = ab * c;
    lost = lost || is_lost(ab, a, b) || is_lost(abc, ab, c);
    return abc;
}

float factor_of(const element e)
{
    return output_kind == ST_OUT_DX ? e.gate : output_kind == ST_OUT_DGATE ? e.u : 1.0;
}

float wide_result(const element e, const vec4 cell, const vec4 coefficients)
{
    wide_gradient d = load_wide_gradient(e);
    wide dt = wide_dt(d.xhat, e.xhat, e.t, cell, coefficients);
    wide result = wide_mul(wide_dh(dt, e), wide_of(factor_of(e)));
    if (output_kind == ST_OUT_DZ)
        result = wide_mul(z_first ? dt : d.v2, wide_of(e.z.y));
    if (output_kind == ST_OUT_DZ) {
        wide of_h = wide_mul(result, wide_of(e.h)), of_v0 = wide_mul(result, d.v0);
        result = of_v0;
        if (z_first)
            result = of_h;
    }
    if (output_kind == ST_OUT_DADDEND)
        result = d.v2;
    return wide_float(result);
}

void put(const element e, const vec4 cell)
{
    gradient d = load_gradient(e);
    vec4 coefficients = vec4(0.0);
    d.t = 0.0;
    d.h = 0.0;
    // Elsewhere there may be no coefficients.
    if (output_kind != ST_OUT_DADDEND && (output_kind != ST_OUT_DZ || z_first)) {
        coefficients = workspace[coefficients_begin + PLACE(ST_WORKSPACE)];
        through_statistics(d, e, cell, coefficients);
        precise float dh = d.h;
        if (present(ST_SUM))
            dh = dh + load_dsum();
        d.h = dh;
    }
    bool dz = output_kind == ST_OUT_DZ;
    // A slope of 0 comes before what may overflow.
    float result = product(dz ? z_first ? d.t : d.v2 : d.h, dz ? e.z.y : factor_of(e), dz ? z_first ? e.h : e.v0 : 1.0,
                           d.lost);
    result = output_kind == ST_OUT_DADDEND ? d.v2 : result;
    for (bool lost = d.lost; lost; lost = false)
        result = wide_result(e, cell, coefficients);
    store_to(PLACE(ST_TO), result);
}
#else
void put(const element e, const vec4 cell)
{
    float y = activate(activation, e.v2, slope).x;
    if (present(ST_TO))
        store_y(y);
    if (present(ST_SUM))
        store_sum(PLACE(ST_SUM), e.h);
}
#endif

void main()
{
    uint unit = unit_index(), groups = table[ST_GROUPS], elements = table[ST_ELEMENTS];
    if (unit >= groups * elements)
        return;
    bool groups_fast = table[ST_GROUPS_FAST] != 0u;
    uint slow = unit / (groups_fast ? groups : elements);
    uint fast = unit - slow * (groups_fast ? groups : elements);
    take_table();
    take_group(table[ST_GROUP0] + (groups_fast ? fast : slow));
    take_elements(table[ST_ELEMENT0] + (groups_fast ? slow : fast));
    element e = load_element();
    vec4 cell = workspace[cells_begin + PLACE(ST_WORKSPACE)];
    normalise(e, cell);
    put(e, cell);
}
