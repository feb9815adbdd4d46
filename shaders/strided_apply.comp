// The outputs from the finished statistics, an invocation an element; with GRADIENT the gradients that have x's shape.
#version 450
#include "strided.glsl"

OUTPUT(to, ST_TO)
#ifdef GRADIENT
INPUT(dsum, ST_SUM)
#else
OUTPUT(sum, ST_SUM)
#include "quantise.glsl"
#endif

#ifdef GRADIENT
void put(element e, vec4 cell)
{
    gradient d = load_gradient(e);
    d.t = 0.0;
    d.h = 0.0;
    // Elsewhere there may be no coefficients.
    if (output_kind != ST_OUT_DADDEND && (output_kind != ST_OUT_DZ || z_first)) {
        through_statistics(d, e, cell, workspace[coefficients_begin + PLACE(ST_WORKSPACE)]);
        precise float dh = d.h;
        if (present(ST_SUM))
            dh = dh + load_dsum();
        d.h = dh;
    }
    precise float dx = d.h * e.gate, dgate = d.h * e.u;
    // A slope of 0 comes before what may overflow.
    precise float dz = z_first ? (d.t * e.z.y) * e.h : (d.v2 * e.z.y) * e.v0;
    float result = d.h; // ST_OUT_DRESIDUAL
    result = output_kind == ST_OUT_DX ? dx : result;
    result = output_kind == ST_OUT_DGATE ? dgate : result;
    result = output_kind == ST_OUT_DZ ? dz : result;
    result = output_kind == ST_OUT_DADDEND ? d.v2 : result;
    store_to(PLACE(ST_TO), result);
}
#else
void put(element e, vec4 cell)
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
