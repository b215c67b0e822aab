#include "datasets/generator.h"

#include <math.h>

#define PI 3.14159265358979323846

/* P(|T| > x) of Student's t, by the finite series for a whole number of degrees of freedom. */
static double student_tail(int nu, double x)
{
    double theta = atan(x / sqrt((double)nu)), sine = sin(theta), cosine = cos(theta);
    double term = nu % 2 ? cosine : 1, sum = 0;
    for (int i = nu % 2 ? 1 : 0; i <= nu - 2; i += 2) {
        sum += term;
        term *= cosine * cosine * (double)(i + 1) / (double)(i + 2);
    }
    double body = nu % 2 ? 2 / PI * (theta + sine * sum) : sine * sum;
    return 1 - body;
}

static double normal_tail(int nu, double x)
{
    (void)nu;
    return erfc(x / sqrt(2.0));
}

/* The x at which a falling tail function reaches p, by bisection. */
static double invert(double (*tail)(int, double), int nu, double p)
{
    double lo = 0, hi = 4096;
    for (int i = 0; i < 64; i++) {
        double middle = (lo + hi) / 2;
        if (tail(nu, middle) > p)
            lo = middle;
        else
            hi = middle;
    }
    return (lo + hi) / 2;
}

static void fill(double (*tail)(int, double), int nu, ortho_quantiles *out)
{
    for (int octave = 0; octave < ORTHO_OCTAVES; octave++)
        for (int piece = 0; piece <= ORTHO_PIECES; piece++) {
            double p = ldexp(1 + piece / (double)ORTHO_PIECES, -(octave + 1));
            out->at[octave][piece] = (float)(p >= 1 ? 0 : invert(tail, nu, p));
        }
}

void ortho_quantiles_normal(ortho_quantiles *out)
{
    fill(normal_tail, 0, out);
}

void ortho_quantiles_student(int nu, ortho_quantiles *out)
{
    fill(student_tail, nu, out);
}
