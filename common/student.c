/*
 * P(|T| >= t) = I_x(df / 2, 1 / 2) with x = df / (df + t^2), where I is the regularised incomplete
 * beta function (Abramowitz and Stegun 26.5.27). I is evaluated by its continued fraction (26.5.8)
 * with the modified Lentz method, on the side of the mean where that converges quickly.
 */
#include "common/student.h"

#include <math.h>

enum { TERMS = 500, HALVINGS = 200 };

/* Beyond it the fraction needs more terms, and lgamma's difference loses its digits. */
#define MANY 1e4

/* A factor of the fraction must not be 0, or the next is infinite. */
static double not_zero(double x)
{
    return fabs(x) < 1e-300 ? 1e-300 : x;
}

/* The continued fraction of I_x(a, b), for x < (a + 1) / (a + b + 2). */
static double fraction(double x, double a, double b)
{
    double c = 1, d = 1 / not_zero(1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m <= TERMS; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int half = 0; half < 2; half++) {
            double term = half == 0 ? even : odd;
            d = 1 / not_zero(1 + term * d);
            c = not_zero(1 + term / c);
            step = c * d;
            f *= step;
        }
        if (fabs(step - 1) < 1e-15)
            break;
    }
    return f;
}

/* x and y = 1 - x, each to full precision. */
static double incomplete_beta(double x, double y, double a, double b)
{
    if (x <= 0 || y <= 0)
        return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    return x < (a + 1) / (a + b + 2) ? front * fraction(x, a, b) / a
                                     : 1 - front * fraction(y, b, a) / b;
}

/* The z above 0 that is as far out in the normal distribution as t is in Student's: Hill's series
 * in 1 / df (G. W. Hill, Algorithm 395, CACM 13, 1970), of which this leaves out terms of 1 / df^2.
 */
static double as_normal(double t, double df)
{
    double a = df - 0.5, w = sqrt(a * log1p(t / df * t));
    return w + (w * w + 3) * w / (48 * a * a);
}

double ortho_student_two_sided(double t, double df)
{
    if (isnan(t) || !(df > 0))
        return NAN;
    if (isinf(df))
        return erfc(fabs(t) / sqrt(2));
    if (isinf(t))
        return 0;
    if (df > MANY)
        return erfc(as_normal(t, df) / sqrt(2));
    double whole = df + t * t;
    return incomplete_beta(df / whole, t * t / whole, df / 2, 0.5);
}

double ortho_student_quantile(double p, double df)
{
    double lo = 0, hi = 1;
    if (!(p > 0) || !(p < 1) || !(df > 0))
        return NAN;
    while (ortho_student_two_sided(hi, df) > p && hi < 1e300)
        hi *= 2;
    for (int i = 0; i < HALVINGS && hi - lo > 1e-15 * hi; i++) {
        double middle = lo + 0.5 * (hi - lo);
        if (ortho_student_two_sided(middle, df) > p)
            lo = middle;
        else
            hi = middle;
    }
    return lo + 0.5 * (hi - lo);
}
