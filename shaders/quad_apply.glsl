// What the two kernels that apply statistics share.
#include "quads.glsl"

LOAD_LANES(weight, ST_WEIGHT)
LOAD_LANES(bias, ST_BIAS)
LOAD_LANES(addend, ST_ADDEND)

#include "quad_store.glsl"
