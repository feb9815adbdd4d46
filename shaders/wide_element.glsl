// The gradients of an element in wide floats, as load_gradient() and through_statistics() have them. Behind the inputs of
// the kernel, load_dsum() among them.
struct wide_gradient {
    wide v0, v2, v1, xhat; // v0: the value, the others gradients: of v2, of what z multiplies, of xhat
};

wide_gradient load_wide_gradient(const element e)
{
    wide_gradient d;
    wide after = wide_of(z_is(false) ? e.z.x : 1.0), factor = wide_of(e.factor);
    d.v0 = wide_v0(e);
    wide v2 = wide_behind_norm(d.v0, e);
    d.v2 = wide_mul(wide_of(load_dy()), wide_of(activate(activation, wide_sign(v2), slope).y));
    d.v1 = wide_mul(d.v2, after);
    d.xhat = wide_mul(wide_mul(d.v1, factor), wide_of(e.ratio));
    return d;
}

wide wide_dh(const wide dt, const element e)
{
    wide dh = wide_mul(dt, wide_of(z_is(true) ? e.z.x : 1.0));
    if (present(ST_SUM))
        dh = wide_add(dh, wide_of(load_dsum()));
    return dh;
}
