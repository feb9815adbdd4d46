// float64 values whose squares a double does not hold: their group is worked on times a power of two, which is exact.
// The choice looks at the group alone. long double is used for its digits, never for its range: it may be a double.
#include "strided.h"

#include <math.h>

// Sums of squares outside of this are looked into, or where there are none saved factors.
#define SMALL 0x1p-900
#define LARGE 0x1p+1000
#define SMALL_FACTOR 0x1p-450
#define LARGE_FACTOR 0x1p+400
// The exponent of a scale: t times 2^1000 and 2^-1000 lies well within a double, whatever t.
enum { LARGEST_EXPONENT = 1000 };

static bool is_extreme(const struct strided *s, const struct strided_cell *cell)
{
    const struct norma_form *f = s->form;
    const double spread = (double)cell->spread, rstd = fabs(cell->rstd);
    if (f->backward && nsc_strided_has(s, NORMA_ARG_RSTD)) // then there may be no spread
        return !(rstd > SMALL_FACTOR && rstd < LARGE_FACTOR) || !isfinite(cell->centre);
    return !(spread < LARGE) || (spread < SMALL && rstd > LARGE_FACTOR);
}

// The largest |t|; a NaN or infinity if there is one.
static double largest_of(const struct strided *s, const struct strided_walk *group, struct strided_stretch *o)
{
    struct strided_walk at = *group;
    double largest = 0;
    do {
        nsc_strided_load_t(s, &at, o);
        for (int64_t i = 0; i < at.count; i++)
            largest = fabs(o->t[i]) <= largest || isnan(largest) ? largest : fabs(o->t[i]);
    } while (nsc_strided_next(&at));
    return largest;
}

double nsc_strided_scale_of(const struct strided *s, int largest)
{
    const bool of_norm = form_eps_is_of_norm(s->form->scale);
    int exponent = -largest, of_eps;
    exponent = exponent > LARGEST_EXPONENT ? LARGEST_EXPONENT : exponent;
    exponent = exponent < -LARGEST_EXPONENT ? -LARGEST_EXPONENT : exponent;
    // An eps far above the values must not overflow in its turn; beside it they count for little.
    if (s->eps > 0) {
        frexp(s->eps, &of_eps);
        const int limit = of_norm ? -of_eps : -of_eps / 2;
        exponent = exponent > limit ? limit : exponent;
    }
    return ldexp(1, exponent);
}

bool nsc_strided_rescues(const struct strided *s, const struct strided_walk *group, struct strided_cell *cell,
                         struct strided_stretch *o)
{
    int exponent;
    if (!s->form->float64 || !is_extreme(s, cell))
        return false;
    const double largest = largest_of(s, group, o);
    if (largest == 0 || !isfinite(largest))
        return false;
    frexp(largest, &exponent);
    cell->scale = nsc_strided_scale_of(s, exponent);
    return cell->scale != 1;
}
