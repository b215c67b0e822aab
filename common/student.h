/* student.h: Student's t distribution, of which `df` degrees of freedom may be any number above 0;
 * INFINITY makes it the normal distribution. NaN where an argument is NaN or df is not above 0. */
#ifndef ORTHO_COMMON_STUDENT_H
#define ORTHO_COMMON_STUDENT_H

/* P(|T| >= |t|), to a relative 1e-10. */
double ortho_student_two_sided(double t, double df);

/* The t above 0 with P(|T| >= t) = p, 0 < p < 1, to a relative 1e-10. */
double ortho_student_quantile(double p, double df);

#endif
