// What a group's gradient loses to its statistics, dt = rstd * ((g - c0) - xhat * c1) - sign(t) * c2, from the sums of g
// and of g * xhat; an invocation a group.
#version 450
#include "strided.glsl"

// projection / (norm / (norm + eps)), or of a deviation: 1 / rstd, norm + eps, may overflow. Where eps is much larger
// than the norm few digits of the part are left, and the term counts as little. Equal elements: the term, 0/0, is taken
// to be 0.
float beside_eps(float projection, float eps, float rstd)
{
    precise float part = 1.0 - eps * rstd;
    precise float grown = part > 0.0 ? projection / part : 0.0;
    return grown;
}

// Of normalize: c1 and c2.
vec2 of_norm(float projection, vec4 cell)
{
    float eps = table_float(ST_EPS);
    bool absolutes = statistic == ABSOLUTES;
    uint scale = table[ST_SCALE];
    precise float rstd = cell.z * cell.w;
    precise float absolute = rstd * projection;
    float squares = scale == SCALE_ADD ? beside_eps(projection, eps, rstd) : projection;
    // SCALE_MAX where eps is the larger: a constant, without gradient. A saved one may be a few units in the last place
    // off.
    precise float limit = (1.0 / (eps * cell.w)) * (1.0 - 2.384185791015625e-07); // 2^-22
    bool held = scale == SCALE_MAX && !(cell.z < limit);
    return held ? vec2(0.0) : absolutes ? vec2(0.0, absolute) : vec2(squares, 0.0);
}

void main()
{
    if (unit_index() >= table[ST_GROUPS])
        return;
    uint group = table[ST_GROUP0] + unit_index();
    statistic = table[ST_STATISTIC];
    vec2 sums = workspace[table[ST_IN] + group].xy;
    vec4 cell = workspace[table[ST_CELLS] + group];
    precise vec2 means = sums / float(table[ST_N]);
    vec3 result = vec3(0.0);
    precise float rstd = cell.z * cell.w;
    precise float of_deviation = beside_eps(sums.y, table_float(ST_EPS), rstd) / float(table[ST_N]);
    if (table[ST_SCALE] == SCALE_DEVIATION)
        result.xy = vec2(means.x, of_deviation);
    else if (table[ST_SCALE] != SCALE_VARIANCE)
        result.yz = of_norm(sums.y, cell);
    else if (statistic != GIVEN)
        result.xy = vec2(statistic == MOMENTS ? means.x : 0.0, means.y);
    workspace[table[ST_COEFFICIENTS] + group] = vec4(result, 0.0);
}
